"""Eq. 1, term by term, and the losses of the face decoder.

Everything is `keras.ops` in float32 and per example, [batch] out; the trainer takes the
mean over the batch. What a loss compares against (the side of the true face) takes no
gradient.

Eq. 1 as printed, per example:

    |f_dec(v_f) - f_dec(v_s)|_1  +  lambda1 | v_f/|v_f| - v_s/|v_s| |_2^2
                                 +  lambda2 L_distill(f_VGG(v_f), f_VGG(v_s)),
    L_distill(a, b) = - sum_i p_i(a) log p_i(b),  p(a) = softmax(a / T),  T = 2.

The distillation is a cross-entropy, not a divergence, and has no factor T^2. Each norm
is of one example's vector, never of the batch.
"""

from typing import Any, Dict, Optional

from keras import ops

from speech2face import config as config_lib

IMAGE_PX = 224
_EPSILON = 1e-12  # the least squared norm that is divided by


def voice_losses(
    config: config_lib.LossConfig,
    *,
    decoder_activation_true: Any,
    decoder_activation_pred: Any,
    face_feature: Any,
    voice_feature: Any,
    face_logits_true: Any,
    face_logits_pred: Any,
    image_true: Optional[Any] = None,
    image_pred: Optional[Any] = None,
) -> Dict[str, Any]:
    """Eq. 1 for each example of a batch.

    Args:
      config: the weights, the temperature, and whether sums are sums.
      decoder_activation_true: f_dec(v_f) [batch, units].
      decoder_activation_pred: f_dec(v_s) [batch, units].
      face_feature: v_f [batch, d].
      voice_feature: v_s [batch, d].
      face_logits_true: f_VGG(v_f) [batch, classes].
      face_logits_pred: f_VGG(v_s) [batch, classes].
      image_true: the decoded face of v_f [batch, 224, 224, 3] in [0, 1]; needed unless
        `config.pixel_weight` is 0.
      image_pred: that of v_s, likewise.

    Returns:
      'decoder_l1', 'feature_l2' and 'distillation' without their weights, 'contrastive'
      and 'pixel' if their weights are not 0, and the weighted sum 'total'; each [batch]
      float32.
    """
    terms = {
        "decoder_l1": l1(
            decoder_activation_true, decoder_activation_pred, config.loss_reduction
        ),
        "feature_l2": normalized_l2(face_feature, voice_feature),
        "distillation": distillation(
            face_logits_true,
            face_logits_pred,
            config.temperature,
            config.loss_reduction,
        ),
    }
    weights = {
        "decoder_l1": config.decoder_weight,
        "feature_l2": config.lambda1,
        "distillation": config.lambda2,
    }
    if config.contrastive_weight:
        terms["contrastive"] = contrastive(
            face_feature, voice_feature, config.contrastive_temperature
        )
        weights["contrastive"] = config.contrastive_weight
    if config.pixel_weight:
        terms["pixel"] = _mean_per_example(ops.abs(_error(image_true, image_pred)))
        weights["pixel"] = config.pixel_weight
    return {**terms, "total": _weighted_sum(terms, weights)}


def decoder_losses(
    config: config_lib.DecoderLossConfig,
    *,
    texture_true: Any,
    texture_pred: Any,
    landmarks_true: Any,
    landmarks_pred: Any,
    face_feature: Any,
    output_feature: Optional[Any] = None,
) -> Dict[str, Any]:
    """Losses of the face decoder for each example of a batch (Cole et al. 2017).

    Args:
      config: the weights.
      texture_true: [batch, 224, 224, 3] in [0, 1], warped to the mean landmarks.
      texture_pred: likewise.
      landmarks_true: [batch, 68, 2] in pixels of a 224-pixel image.
      landmarks_pred: likewise.
      face_feature: v_f [batch, d] of the photograph: the decoder's input.
      output_feature: [batch, d], the same recognizer's feature of the decoder's warped
        output; needed unless `config.identity_weight` is 0.

    Returns:
      'texture' (mean absolute error), 'landmarks' (mean squared error in image
      widths), 'identity' (negative cosine) unless its weight is 0, and the weighted sum
      'total'; each [batch] float32.
    """
    terms = {
        "texture": _mean_per_example(ops.abs(_error(texture_true, texture_pred))),
        "landmarks": _mean_per_example(
            ops.square(_error(landmarks_true, landmarks_pred) / IMAGE_PX)
        ),
    }
    weights = {"texture": config.texture_weight, "landmarks": config.landmark_weight}
    if config.identity_weight:
        terms["identity"] = -cosine(face_feature, output_feature)
        weights["identity"] = config.identity_weight
    return {**terms, "total": _weighted_sum(terms, weights)}


def l1(true: Any, predicted: Any, reduction: str = "sum") -> Any:
    """|true - predicted|_1 over units: [batch, units] twice -> [batch]."""
    return _reduce(ops.abs(_error(true, predicted)), reduction)


def normalized_l2(true: Any, predicted: Any) -> Any:
    """|a/|a| - b/|b||_2^2 of each example (2 - 2 cosine): [batch, d] twice -> [batch].

    The difference itself is squared: 2 - 2 cosine would cancel near 0.
    """
    difference = unit(_float32(predicted)) - unit(_teacher(true))
    return ops.sum(ops.square(difference), axis=-1)


def distillation(
    logits_true: Any, logits_pred: Any, temperature: float, reduction: str = "sum"
) -> Any:
    """- sum_i p_i(true) log p_i(predicted): [batch, classes] twice -> [batch]."""
    probability = ops.softmax(_teacher(logits_true) / temperature, axis=-1)
    log_probability = ops.log_softmax(_float32(logits_pred) / temperature, axis=-1)
    return _reduce(-probability * log_probability, reduction)


def contrastive(true: Any, predicted: Any, temperature: float) -> Any:
    """Symmetric InfoNCE between the faces and the voices of a batch. Not in the paper.

    A voice should be nearer (cosine / temperature) to its own face than to the other
    faces of the batch, and a face to its own voice. Under several replicas, of the
    replica's part of the batch.

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


def unit(vectors: Any) -> Any:
    """Each vector [..., d] divided by its own norm; zeros stay zeros."""
    squared_norm = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared_norm, _EPSILON))


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


def _weighted_sum(terms: Dict[str, Any], weights: Dict[str, float]) -> Any:
    return sum(weights[name] * term for name, term in terms.items())
