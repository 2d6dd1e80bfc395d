"""Tells a bare participle (`told`, `merged`) from another word, as far as lists can."""

from __future__ import annotations

# Words in -ed that are nouns, adjectives or verbs in their base form.
_OTHER_WORDS_IN_ED = """
    bed bleed breed creed deed embed exceed feed greed heed hundred indeed kindred need proceed reed
    sacred seed shed shred sled speed succeed weed wed
"""
# Past participles and past tenses that differ from the base form of their verb. `read`, `run`,
# `set` and `split` are left out as verbs; `bound`, `ground` and `shot` are left out as nouns.
_IRREGULAR_WORDS = """
    awoken been begun bent bitten blown born borne bought broken brought built burnt caught chosen
    dealt done drawn driven eaten fallen fed felt flown forbidden forgotten forgiven fought found
    frozen given gone got gotten grown heard held hidden hung kept knelt known laid lain learnt led
    left lent lit lost made meant met mistaken overridden overwritten paid proven rebuilt redrawn
    remade retaken rewritten ridden risen rung said sat seen sent sewn shaken shone shown shrunk
    slept slid sold sought sown spelt spent spoken sprung stolen stood struck stuck sung sunk swept
    sworn swum swung taken taught thought thrown told torn undone understood unknown unmade unseen
    unspent untold unwritten withdrawn withheld woken won worn wound woven written wrought
"""
_OTHERS = frozenset(_OTHER_WORDS_IN_ED.split())
_IRREGULAR = frozenset(_IRREGULAR_WORDS.split())


def is_bare_participle(name: str) -> bool:
    """Return whether a name is one word, and that word a past participle or a past tense."""
    word = name.strip("_").lower()
    if not is_one_word(word) or word in _OTHERS:
        return False
    return word in _IRREGULAR or (word.endswith("ed") and len(word) > 3)


def is_one_word(name: str) -> bool:
    return "_" not in name.strip("_")
