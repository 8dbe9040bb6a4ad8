"""The codecs that are decoded: those of recordings and films that people have.

FFmpeg has 500 decoders. Most are of games and of programs that are long gone, are
seldom tested, and are where memory errors are found. Two of 2026 (magicyuv and tdsc)
could run code from a file. docs/decisions/untrusted-media.md.
"""

# FFmpeg's names of its decoders. Not in the paper: docs/decisions/untrusted-media.md.
# fmt: off
_SOUND = (
    "aac", "aac_latm", "ac3", "eac3", "alac", "als", "ape", "atrac3", "atrac3plus",
    "cook", "dca", "dvaudio", "flac", "mlp", "truehd", "mpc7", "mpc8", "nellymoser",
    "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "libopus",
    "qdm2", "s302m", "shorten", "tak", "tta", "vorbis", "wavpack",
    "wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice",
    # of telephones
    "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "evrc", "qcelp",
    "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms", "ilbc",
    "real_144", "real_288", "sipr", "speex",
    "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha",
    "pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_mulaw", "pcm_s8", "pcm_s8_planar",
    "pcm_s16be", "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar", "pcm_u8",
    "pcm_s24be", "pcm_s24le", "pcm_s24le_planar", "pcm_s32be", "pcm_s32le",
    "pcm_s32le_planar", "pcm_s64be", "pcm_s64le", "pcm_u16be", "pcm_u16le",
    "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le",
    "pcm_f16le", "pcm_f24le", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le",
)
_PICTURES = (
    "av1", "libdav1d", "h261", "h263", "h263i", "h263p", "h264", "hevc", "vvc",
    "mpeg1video", "mpeg2video", "mpegvideo", "mpeg4",
    "msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2", "wmv3", "vc1",
    "vp3", "vp5", "vp6", "vp6a", "vp6f", "vp7", "vp8", "vp9", "theora",
    "flv", "rv10", "rv20", "rv30", "rv40", "svq1", "svq3", "cinepak",
    "dvvideo", "mjpeg", "mjpegb", "png", "jpeg2000", "rawvideo",
    # of cameras and editors
    "cfhd", "dnxhd", "ffv1", "ffvhuff", "huffyuv", "prores",
)
# fmt: on
DECODERS = _SOUND + _PICTURES
