"""Common English words, of which the sentences are made.

Nouns take a plain "s", verbs a plain "ed", so that they are two tokens with the ending.
"""

from __future__ import annotations

from typing import Final


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


OF_ONE: Final = _split("a this that every another each")
OF_SEVERAL: Final = _split("these those some many several few all both no our")
OF_ANY: Final = _split("the my his her their your its")

PREPOSITIONS: Final = _split(
    "in on at by for with from to under over near behind before after through between against across into"
)

CONJUNCTIONS: Final = _split("and but while because so when although until where")

ADVERBS: Final = _split(
    """
    slowly quickly often never always again soon already early late here there quietly badly gladly clearly nearly
    hardly finally suddenly probably usually simply together alone
    """
)

ADJECTIVES: Final = _split(
    """
    old new young small large long short high low dark bright warm cold hot wet dry clean dirty empty full heavy light
    hard soft strong weak rich poor cheap dear fast slow quiet loud wide narrow deep flat round sharp sweet bitter fresh
    green blue red white black grey brown yellow happy sad angry tired hungry proud brave kind polite honest clever
    simple strange famous common rare certain careful useful wooden golden northern southern foreign local modern
    ancient public private perfect broken frozen hidden pleasant terrible wonderful boring moving
    """
)

NOUNS: Final = _split(
    """
    garden river mountain road street village town house room door window wall floor roof corner table chair bed lamp
    mirror picture clock book page letter paper pencil tale song poem film actor singer writer painter teacher student
    doctor nurse lawyer farmer baker driver sailor pilot worker soldier king queen prince friend neighbour stranger
    visitor guest brother sister mother father uncle aunt cousin parent boy girl hand arm leg eye ear finger heart head
    face voice word name number question answer reason result problem idea dream plan game ball team player market shop
    price ticket train car boat plane bridge station airport hotel kitchen dinner meal soup cake apple lemon onion egg
    bottle cup glove coat hat shirt shoe pocket button ring coin bag tree flower leader forest field hill lake island
    beacon storm cloud wind star moon planet winter summer morning evening night week month year hour minute moment
    animal horse cow goat lion tiger elephant bear bird duck eagle owl insect snake engine machine computer phone camera
    radio screen signal ladder hammer nail rope wheel tool report lesson school college museum theatre hospital castle
    temple tower court law crime prison border nation government minister member voter newspaper journal author novel
    chapter sentence ending plot scene character director audience critic review concert orchestra piano violin guitar
    drum rhythm
    """
)

VERBS: Final = _split(
    """
    walk talk jump open look turn start follow help call need want wait work play show allow explain offer remember
    consider appear add learn ask answer climb clean cook count cover cross doubt end enter fail fill fix form gather
    greet guard hand happen head hunt join kick kill knock land last laugh lift listen load lock mark mention mix order
    own pack paint park pass pick point pour press print pull push question reach record remain rent repeat report rest
    return rush sail search shout sign sound stay suggest test thank touch train travel treat trust visit warn wash
    watch wonder
    """
)
