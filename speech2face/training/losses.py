"""Eq. 1, term by term, and the losses of the face decoder.

Everything is `keras.ops` in float32 and per example, [batch] out; the trainer takes the
mean over the batch. The side of the true face is the target and takes no gradient.

Eq. 1 as printed, with sums, per example:

    |f_dec(v_f) - f_dec(v_s)|_1  +  lambda1 | v_f/|v_f| - v_s/|v_s| |_2^2
                                 +  lambda2 L_distill(f_VGG(v_f), f_VGG(v_s)),
    L_distill(a, b) = - sum_i p_i(a) log p_i(b),  p(a) = softmax(a / T),  T = 2.

By default |.|_1 and the sum over the classes i are means, which the paper's weights fit
(docs/decisions/eq1-reduction.md). The distillation is a cross-entropy, not a
divergence, and has no factor T^2. Each norm is of one example's vector, never of the
batch.
"""

from typing import Any, NamedTuple

from keras import ops

from speech2face.config import DecoderLossConfig, LossConfig
from speech2face.models.vectors import unit


class Features(NamedTuple):
    """A face feature v (v_f or v_s) and what the frozen networks compute from it.

    Attributes:
      feature: v [batch, d].
      decoder_activation: f_dec(v) [batch, units], after its ReLU
        (docs/decisions/f-dec.md).
      face_logits: f_VGG(v) [batch, classes].
      image: decoded face [batch, 224, 224, 3] in [0, 1]; needed only if
        `LossConfig.pixel_weight` is not 0.
    """

    feature: Any
    decoder_activation: Any
    face_logits: Any
    image: Any | None = None


def voice_losses(
    config: LossConfig, true: Features, predicted: Features
) -> dict[str, Any]:
    """Eq. 1 for each example of a batch.

    Args:
      config: the weights, the temperature, and whether sums are sums.
      true: v_f, the feature of the true face, and what follows from it.
      predicted: v_s, the feature predicted from the voice, and what follows from it.

    Returns:
      'decoder_l1', 'feature_l2' and 'distillation' without their weights, 'feature_l1',
      'contrastive' and 'pixel' if their weights are not 0, and the weighted sum
      'total'; each [batch] float32.
    """
    terms = {
        "decoder_l1": l1(
            true.decoder_activation,
            predicted.decoder_activation,
            config.loss_reduction,
        ),
        "feature_l2": normalized_l2(true.feature, predicted.feature),
        "distillation": distillation(
            true.face_logits,
            predicted.face_logits,
            config.temperature,
            config.loss_reduction,
        ),
    }
    weights = {
        "decoder_l1": config.decoder_weight,
        "feature_l2": config.lambda1,
        "distillation": config.lambda2,
    }
    if config.feature_l1_weight:
        terms["feature_l1"] = l1(true.feature, predicted.feature, config.loss_reduction)
        weights["feature_l1"] = config.feature_l1_weight
    if config.contrastive_weight:
        terms["contrastive"] = contrastive(
            true.feature, predicted.feature, config.contrastive_temperature
        )
        weights["contrastive"] = config.contrastive_weight
    if config.pixel_weight:
        difference = _error(true.image, predicted.image)
        terms["pixel"] = _mean_per_example(ops.abs(difference))
        weights["pixel"] = config.pixel_weight
    return {**terms, "total": _weighted_sum(terms, weights)}


def decoder_losses(
    config: DecoderLossConfig,
    *,
    texture_true: Any,
    texture_pred: Any,
    landmarks_true: Any,
    landmarks_pred: Any,
    face_feature: Any,
    output_feature: Any | None = None,
) -> dict[str, Any]:
    """Losses of the face decoder for each example of a batch (Cole et al. 2017).

    Args:
      config: the weights of the terms.
      texture_true: [batch, 224, 224, 3] in [0, 1], warped to the mean landmarks.
      texture_pred: decoded, of the same shape.
      landmarks_true: [batch, k, 2] in pixels of a 224-pixel image.
      landmarks_pred: decoded, of the same shape.
      face_feature: v_f [batch, d] of the photograph: the decoder's input.
      output_feature: [batch, d], the same recognizer's feature of the decoder's warped
        output; needed unless `config.identity_weight` is 0.

    Returns:
      'texture' (mean absolute error), 'landmarks' (mean squared error in pixels
      squared), 'identity' (negative cosine) unless its weight is 0, and the weighted
      sum 'total'; each [batch] float32.
    """
    terms = {
        "texture": _mean_per_example(ops.abs(_error(texture_true, texture_pred))),
        "landmarks": _mean_per_example(
            ops.square(_error(landmarks_true, landmarks_pred))
        ),
    }
    if config.identity_weight:
        terms["identity"] = -cosine(face_feature, output_feature)
    return {**terms, "total": _weighted_sum(terms, decoder_weights(config))}


def decoder_weights(config: DecoderLossConfig) -> dict[str, float]:
    """Returns the weight of each term of `decoder_losses`."""
    return {
        "texture": config.texture_weight,
        "landmarks": config.landmark_weight,
        "identity": config.identity_weight,
    }


def l1(true: Any, predicted: Any, reduction: str) -> Any:
    """Returns |true - predicted|_1 over units: [batch, units] twice -> [batch].

    Args:
      true: [batch, units], the target; takes no gradient.
      predicted: [batch, units].
      reduction: 'sum', or 'mean' over the units.
    """
    return _reduce(ops.abs(_error(true, predicted)), reduction)


def normalized_l2(true: Any, predicted: Any) -> Any:
    """|a/|a| - b/|b||_2^2 of each example (2 - 2 cosine): [batch, d] twice -> [batch].

    The difference itself is squared: 2 - 2 cosine would cancel near 0.
    """
    difference = unit(_float32(predicted)) - unit(_teacher(true))
    return ops.sum(ops.square(difference), axis=-1)


def distillation(
    logits_true: Any, logits_pred: Any, temperature: float, reduction: str
) -> Any:
    """Returns - sum_i p_i(true) log p_i(predicted) with p = softmax(logits / T).

    Args:
      logits_true: [batch, classes]; takes no gradient.
      logits_pred: [batch, classes].
      temperature: T (Sec. 3: 2).
      reduction: 'sum', or 'mean' over the classes.

    Returns:
      [batch] float32.
    """
    probability = ops.softmax(_teacher(logits_true) / temperature, axis=-1)
    log_probability = ops.log_softmax(_float32(logits_pred) / temperature, axis=-1)
    return _reduce(-probability * log_probability, reduction)


def contrastive(true: Any, predicted: Any, temperature: float) -> Any:
    """Symmetric InfoNCE between the faces and the voices of a batch. Not in the paper.

    A voice should be nearer to its own face than to the other faces of the batch, and a
    face nearer to its own voice. A replica compares within its own part of the batch.

    Args:
      true: v_f [batch, d]; takes no gradient.
      predicted: v_s [batch, d].
      temperature: divides the cosines before the softmax.

    Returns:
      [batch], the mean of both directions.
    """
    cosines = ops.matmul(unit(_float32(predicted)), ops.transpose(unit(_teacher(true))))
    logits = cosines / temperature  # [voices, faces]
    to_face = ops.diagonal(ops.log_softmax(logits, axis=1))
    to_voice = ops.diagonal(ops.log_softmax(logits, axis=0))
    return -0.5 * (to_face + to_voice)


def cosine(true: Any, predicted: Any) -> Any:
    """Cosine between the vectors of each example: [batch, d] twice -> [batch]."""
    return ops.sum(unit(_teacher(true)) * unit(_float32(predicted)), axis=-1)


def _error(true: Any, predicted: Any) -> Any:
    return _float32(predicted) - _teacher(true)


def _teacher(values: Any) -> Any:
    return ops.stop_gradient(_float32(values))


def _float32(values: Any) -> Any:
    return ops.cast(values, "float32")


def _reduce(values: Any, reduction: str) -> Any:
    """[batch, n] -> [batch]: over units or classes, as `LossConfig.loss_reduction`."""
    if reduction not in ("sum", "mean"):
        raise ValueError(f"loss_reduction is {reduction!r}; it must be sum or mean")
    return ops.sum(values, axis=-1) if reduction == "sum" else ops.mean(values, axis=-1)


def _mean_per_example(values: Any) -> Any:
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))


def _weighted_sum(terms: dict[str, Any], weights: dict[str, float]) -> Any:
    return sum(weights[name] * term for name, term in terms.items())
