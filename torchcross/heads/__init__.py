"""From a target to the parameters of a head, and from features to logits."""

from __future__ import annotations

from torchcross.heads.conformal import conformal_sets
from torchcross.heads.learned import LearnedHeads
from torchcross.heads.learning_key import learning_key
from torchcross.heads.leave_one_out import has_others
from torchcross.heads.linear import BIAS, WEIGHT, kaiming_head, seeded_generator, zero_head
from torchcross.heads.logistic import LOGISTIC_FORMS, logistic_head
from torchcross.heads.logistic_batches import logistic_log_probabilities
from torchcross.heads.logistic_start import logistic_start
from torchcross.heads.logits import CONSTANT, FORMS, MEAN_FORM, head_logits, head_target
from torchcross.heads.padded_rows import pad_rows
from torchcross.heads.prototypes import proto_head, prototypes
from torchcross.heads.ridge import known_codes, leave_one_out_errors, ridge_weight
from torchcross.heads.text import TEXT_FORM, text_head, text_logistic_head

__all__ = [
    "BIAS",
    "CONSTANT",
    "FORMS",
    "LOGISTIC_FORMS",
    "MEAN_FORM",
    "TEXT_FORM",
    "WEIGHT",
    "LearnedHeads",
    "conformal_sets",
    "has_others",
    "head_logits",
    "head_target",
    "kaiming_head",
    "known_codes",
    "learning_key",
    "leave_one_out_errors",
    "logistic_head",
    "logistic_log_probabilities",
    "logistic_start",
    "pad_rows",
    "proto_head",
    "prototypes",
    "ridge_weight",
    "seeded_generator",
    "text_head",
    "text_logistic_head",
    "zero_head",
]
