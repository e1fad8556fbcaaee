"""Names as a list shows them: the surname stays, the rest are stars. Pure; done on the server, so a page never holds more."""

# Two-character surnames in common use; of any other Chinese name the first character is the surname.
COMPOUND = frozenset(
    [
        "欧阳",
        "太史",
        "端木",
        "上官",
        "司马",
        "东方",
        "独孤",
        "南宫",
        "万俟",
        "闻人",
        "夏侯",
        "诸葛",
        "尉迟",
        "公羊",
        "赫连",
        "澹台",
        "皇甫",
        "宗政",
        "濮阳",
        "公冶",
        "太叔",
        "申屠",
        "公孙",
        "慕容",
        "仲孙",
        "钟离",
        "长孙",
        "宇文",
        "司徒",
        "鲜于",
        "司空",
        "闾丘",
        "令狐",
        "百里",
        "呼延",
        "东郭",
        "南门",
        "西门",
        "轩辕",
        "拓跋",
        "完颜",
        "第五",
        "歐陽",
        "司馬",
        "東方",
        "諸葛",
    ]
)
STARS_MAX = 4  # the length of a name tells of it too


def masked(name: str) -> str:
    """`张*`, `欧阳*`; of a name in letters all but the last word become initials: `W*** Fang`."""
    bare = name.strip()
    if not bare:
        return "*"
    if _is_han(bare[0]) and " " not in bare:
        return (bare[:2] if bare[:2] in COMPOUND and len(bare) > 2 else bare[0]) + "*"  # noqa: PLR2004 given name follows
    *given, last = bare.split()
    return " ".join([*map(_initial, given), last]) if given else _initial(last)


def _initial(word: str) -> str:
    return word[0] + "*" * min(max(len(word) - 1, 1), STARS_MAX)


def _is_han(character: str) -> bool:
    return "㐀" <= character <= "鿿" or character >= "𠀀"
