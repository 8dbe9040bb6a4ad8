"""The paper's numbers are whole, and those that are printed."""

import pytest

from experiments.lib import published

# As in the text of the PDF, whose tables are read column by column.
TABLE_2_COLUMNS = """
48.43 ± 6.01 45.75 ± 5.09
0.19 ± 0.03 0.18 ± 0.02
9.81 ± 1.74 9.42 ± 1.54
"""
TABLE_3_COLUMNS = """
5.86 6.22 8.54 8.28 8.34 10.92
10.02 9.92 13.64 13.66 13.70 17.00
18.98 18.94 24.80 24.66 24.66 30.60
28.92 28.70 38.54 35.84 36.22 45.82
"""
FIG_5_COLUMN = "0.16 0.26 0.11 0.14 0.35 0.17 0.20 0.21 0.38 0.29 0.20 0.28 0.02"
# The supplementary's matrices, Asian, black, India and white.
FIG_4_ROWS = {
    ("gender", "s2f"): ".94 .06 .06 .94",
    ("gender", "f2f"): ".98 .02 .11 .89",
    ("ethnicity", "s2f"): (
        ".50 .03 .10 .38 .27 .11 .13 .49 .27 .13 .13 .48 .30 .04 .05 .61"
    ),
    ("ethnicity", "f2f"): (
        ".71 .01 .03 .24 .21 .41 .12 .25 .20 .12 .55 .14 .15 .02 .06 .76"
    ),
}
FIG_4_AGES = {
    "s2f": ".00 .26 .32 .33 .30 .16 .35",
    "f2f": ".00 .58 .42 .46 .52 .40 .61",
}
FIG_4_COUNTED = {
    "gender": "male 3119 female 1867",
    "age": "<20 97 20 1464 30 1372 40 937 50 609 60 322 70 167 >80 18",
    "ethnicity": "white 2505 india 435 black 603 asian 1443",
}

# The README of SF2F's repository.
SF2F_README = "15.47 ± 0.67 18.59 ± 0.87 19.49 ± 0.59 19.31 ± 0.65 20.10 ± 0.47"
# Of Vox2Face's Table 2: cosine, R@5, R@10, VFS. Its abstract prints six of them.
VOX2FACE_ROWS = """
0.213 4.6 8.7 13.43
0.259 8.7 12.3 15.03
0.295 14.6 29.8 18.82
0.322 17.3 32.1 23.21
"""


def numbers(text):
    return [float(word) for word in text.replace("±", "").split()]


def test_numbers_are_those_printed():
    rows = [published.TABLE_2[secs] for secs in (3, 6)]
    columns = [row[name] for name in ("cos_deg", "l2", "l1") for row in rows]
    assert [n for pair in columns for n in pair] == numbers(TABLE_2_COLUMNS)
    order = [(secs, metric) for secs in (3, 6) for metric in ("l2", "l1", "cos")]
    columns = zip(*(published.TABLE_3[row] for row in order))
    assert [n for column in columns for n in column] == numbers(TABLE_3_COLUMNS)
    assert published.TABLE_3_KS == (1, 2, 5, 10) and published.TABLE_3_N == 5_000
    fig_5 = [*published.FIG_5.values(), published.FIG_5_RANDOM]
    assert fig_5 == numbers(FIG_5_COLUMN)
    assert (published.FIG_5_N, published.FIG_5_N_PUBLISHED) == (1_000, 968)
    assert published.FIG_5_EXAGGERATION == 0.7
    assert published.FIG_5_ITERATION == 770_001  # 3.62 epochs of 1.7 million
    assert published.FIG_8_ITERATIONS == (40_000, 120_000)
    assert published.FIG_8_LOSS == (1.42, 1.50)
    assert (published.MEDIAN_RANK, published.MEDIAN_RANK_N) == (550, 100)
    assert published.MEDIAN_RANK_COLUMN == (6, "cos")
    assert published.RANDOM_RETRIEVALS_MEAN_RANK == 919
    assert published.RANDOM_RETRIEVALS_WITHIN == {1: 10, 2: 13, 5: 31, 10: 46}


def test_attributes_are_those_printed():
    assert set(published.FIG_4_MATRICES) == set(FIG_4_ROWS)
    for key, text in FIG_4_ROWS.items():
        matrix = published.FIG_4_MATRICES[key]
        assert [n for row in matrix for n in row] == numbers(text), key
    for source, text in FIG_4_AGES.items():
        assert list(published.FIG_4_AGE_DIAGONAL[source]) == numbers(text)
    for attribute, text in FIG_4_COUNTED.items():
        counts = published.FIG_4_COUNTS[attribute]
        assert " ".join(f"{name} {n}" for name, n in counts.items()) == text
    assert published.FIG_4_N == 4_986


def test_rows_on_hq_voxceleb_are_those_printed():
    scores = [
        number
        for score in published.SF2F_README.values()
        for number in (score.vggface_score, score.vggface_score_sd)
    ]
    assert scores == numbers(SF2F_README)
    rows = [score[:4] for score in published.VOX2FACE_TABLE_2.values()]
    assert [n for row in rows for n in row] == numbers(VOX2FACE_ROWS)
    assert published.HQ_VOXCELEB_TEST_PEOPLE == 378


def test_published_tables_are_whole():
    assert {key[0] for key in published.TABLE_3} == set(published.TABLE_2) == {3, 6}
    for recalls in published.TABLE_3.values():
        assert list(recalls) == sorted(recalls) and len(recalls) == 4
    for counts in published.FIG_4_COUNTS.values():
        assert sum(counts.values()) == published.FIG_4_N
    assert len(published.FIG_5) == 12


def test_the_papers_matrices_are_rates_of_the_classes_that_it_counts():
    for (attribute, _), matrix in published.FIG_4_MATRICES.items():
        classes = published.FIG_4_CLASSES[attribute]
        assert set(classes) == set(published.FIG_4_COUNTS[attribute])
        assert len(matrix) == len(classes)
        for row in matrix:
            assert len(row) == len(classes)
            assert sum(row) == pytest.approx(1, abs=0.021)  # printed with two digits
    ages = published.FIG_4_CLASSES["age"]
    assert list(published.FIG_4_COUNTS["age"]) == [*ages, ">80"]
    for diagonal in published.FIG_4_AGE_DIAGONAL.values():
        assert len(diagonal) == len(ages)
