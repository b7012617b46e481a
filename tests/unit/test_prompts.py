"""Dynamic prompts: what is text and what is not, what a seed stands for, what there is in all, and what never is sent
to a translator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator import prompts
from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import MAX_PROMPT
from orchestrator.prompts import MOST_COUNTED, Dice, Listing, Style, listing_of
from orchestrator.prompts.syntax import MAX_NESTING, MAX_TEMPLATE

ENOUGH = 3_000  # seeds, for a choice among a few dozen


class Files:
    """Wildcard files in memory."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._listings = {name: listing_of(name, text) for name, text in texts.items()}

    def listing(self, name: str) -> Listing:
        try:
            return self._listings[name]
        except KeyError:
            raise ParamsInvalid(f"There is no wildcard __{name}__") from None


def said(template: str, seed: int = 1, /, **texts: str) -> str:
    return prompts.resolve(template, seed=seed, lookup=Files(texts)).text


def all_said(template: str, **texts: str) -> set[str]:
    return {said(template, seed, **texts) for seed in range(400)}


# ------------------------------------------------------------------------------ text stays text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red fox",
        "(masterpiece:1.2), [cat:dog:0.5], ((very)) [[little]], <lora:fox_v2:0.8>",
        "<lora:style__v2__final:1>, model__v2__x, snake_case, __, ____, __ a __",
        '{"subject": "a fox", "style": {"name": "oil|water"}, "n": [1, 2]}',
        '{ "a": "b|c" }',
        "{}",
        "{red}",
        "a {prompt} b",
        "{",
        "}",
        "}{",
        "a } b | c",
        "a|b, c AND d BREAK e",
        '{"subject": "a fox", "unfinished": "x|y"',
        "{a|b",
        "{2$$a|b",
        "price: $$5, 2::3, 1-3",
        "\\(a\\), \\[b\\], C:\\dir\\file, \\\\",
        "портрет лисы 🦊 \u202e",
        "a\nb\r\n\tc",
    ],
)
def test_what_is_no_choice_comes_through_as_it_is(text: str) -> None:
    assert said(text) == text
    assert prompts.count(text) == 1
    assert list(prompts.combinations(text, 5)) == [text]


@given(
    st.text(st.characters(exclude_characters="{}|_\\", exclude_categories=["Cs"])), st.integers()
)
def test_a_text_without_braces_and_underscores_is_never_touched(text: str, seed: int) -> None:
    assert said(text, seed) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (r"\{a\|b\}", "{a|b}"),
        (r"a \| b", "a | b"),
        (r"\__init__", "__init__"),
        (r"{\{x\}|\{x\}}", "{x}"),
        (r"{a\|b|a\|b}", "a|b"),
    ],
)
def test_a_backslash_makes_the_signs_themselves(template: str, text: str) -> None:
    assert said(template) == text


def test_a_brace_that_is_not_closed_is_text_and_noted_and_those_inside_still_count() -> None:
    found = prompts.resolve("{a, {b|b} and {c", seed=1)
    assert found.text == "{a, b and {c"
    assert any("never closes" in note for note in found.notes)
    assert prompts.resolve("{a|a} fox", seed=1).notes == ()


def test_a_variable_of_the_extension_is_text_and_noted() -> None:
    found = prompts.resolve("${season=summer} in ${season}", seed=1)
    assert found.text == "${season=summer} in ${season}"
    assert any("variable" in note for note in found.notes)


PIECES = ["{2$$", "{1-3$$", "{-2$$ and $$", "$$", "2::", "0::", "__a__", "__b*__", "fox", "7"]
SIGNS = [*'{}|$\\_-:,.* \n"', "лиса", '{"a": ', "\ud800", "<lora:x:1>", "(a:1.2)"]
SYNTAX = st.lists(st.sampled_from(PIECES + SIGNS), max_size=60).map("".join)


@given(SYNTAX | st.text(), st.integers(min_value=0, max_value=2**64))
def test_whatever_is_typed_is_resolved_or_refused_with_a_reason(text: str, seed: int) -> None:
    files = Files({"a": "x\n{y|__b*__}", "b*": "z"})
    try:
        first = prompts.resolve(text, seed=seed, lookup=files)
        ways = prompts.count(text, files)
        made = list(prompts.combinations(text, 5, files))
    except ParamsInvalid:
        return
    assert len(first.text) <= MAX_PROMPT
    assert prompts.resolve(text, seed=seed, lookup=files) == first
    assert len(made) == min(ways, 5)


# ------------------------------------------------------------------------------ choices


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("a {red|green} fox", {"a red fox", "a green fox"}),
        ("{a|}b", {"ab", "b"}),
        ("{very |}big", {"very big", "big"}),
        ("{a|{b|c} d}", {"a", "b d", "c d"}),
        ("{{a|b}|{c|d}}", {"a", "b", "c", "d"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{1-$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{2-1$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{9$$a|b}", {"a, b", "b, a"}),  # more than there are: all
        ("{2$$ a | b }", {"a, b", "b, a"}),
        ("{2$$a|}", {"a"}),  # nothing is no item of a list
        ("{0::a|b}", {"b"}),
        ("{0::a|0::b}", {"a", "b"}),
        ("{.5::a|0.5::b}", {"a", "b"}),
        ("(fox:{1.1|1.2})", {"(fox:1.1)", "(fox:1.2)"}),
        ("<lora:{a|b}:0.8>", {"<lora:a:0.8>", "<lora:b:0.8>"}),
        ('{"colour": "{red|blue}"}', {'{"colour": "red"}', '{"colour": "blue"}'}),
        ('{{"a": "x|y"}|fox}', {'{"a": "x|y"}', "fox"}),
    ],
)
def test_every_option_is_reached_and_nothing_else(template: str, texts: set[str]) -> None:
    assert all_said(template) == texts
    assert set(prompts.combinations(template, 100)) == texts


def test_an_option_of_double_weight_comes_twice_as_often() -> None:
    drawn = [said("{2::a|b}", seed) for seed in range(ENOUGH)]
    assert drawn.count("a") / len(drawn) == pytest.approx(2 / 3, abs=0.03)


def test_options_without_weight_are_equally_likely() -> None:
    drawn = [said("{a|b|c|d}", seed) for seed in range(ENOUGH)]
    for option in "abcd":
        assert drawn.count(option) / len(drawn) == pytest.approx(1 / 4, abs=0.03)


def test_a_seed_stands_for_the_same_text_on_every_machine_for_ever() -> None:
    # these are what the first version drew: recipes of pictures rest on them
    assert "".join(said("{a|b|c|d|e|f|g|h}", seed) for seed in range(24)) == (
        "ahahfbeccbebedbccbdgghha"
    )
    dice = Dice(7, "prompt")
    assert [dice.below(1000) for _ in range(6)] == [529, 163, 817, 561, 270, 641]
    long = "a {2::red|green|{light|dark} blue} {2$$fox|owl|cat}, {1-2$$ and $$x|y}"
    assert said(long, 2**53 - 1) == "a red fox, owl, y and x"


def test_prompt_and_negative_prompt_of_one_seed_are_drawn_apart() -> None:
    both = [
        [prompts.resolve("{a|b}", seed=seed, name=name).text for name in ("prompt", "negative")]
        for seed in range(100)
    ]
    assert {tuple(pair) for pair in both} == {("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")}


def templates(depth: int = 2) -> st.SearchStrategy[str]:
    """Templates with few enough ways to look at all of them."""
    words = st.sampled_from(["a", "b", "c ", " d", "", "(e:1.1)"])
    if not depth:
        return words
    inner = templates(depth - 1)
    options = st.lists(inner, min_size=2, max_size=3)
    several = st.sampled_from(["", "", "2$$", "1-2$$", "0-2$$ + $$"])
    variant = st.builds(lambda head, inside: f"{{{head}{'|'.join(inside)}}}", several, options)
    return st.lists(words | variant | inner, min_size=1, max_size=2).map("".join)


@given(templates(), st.integers(min_value=0, max_value=2**53))
def test_what_a_seed_stands_for_is_among_all_that_there_is(template: str, seed: int) -> None:
    ways = prompts.count(template)
    assume(ways <= 2_000)
    assert said(template, seed) in set(prompts.combinations(template, ways))


@given(templates())
def test_the_count_is_the_number_of_combinations(template: str) -> None:
    ways = prompts.count(template)
    assume(ways <= 2_000)
    assert len(list(prompts.combinations(template, ways + 1))) == ways


@settings(max_examples=25)
@given(templates(1))
def test_every_combination_is_what_some_seed_stands_for(template: str) -> None:
    assume(prompts.count(template) <= 24)
    missing = set(prompts.combinations(template, 24))
    for seed in range(ENOUGH):
        missing.discard(said(template, seed))
        if not missing:
            return
    pytest.fail(f"never drawn: {missing}")


# ------------------------------------------------------------------------------ wildcards


def test_a_wildcard_is_a_line_of_its_file_and_lines_may_hold_anything() -> None:
    texts = {"animal": "# cats\nlynx\n\n  {red|grey} fox  \n__bird__\n#owl", "bird": "a|b"}
    assert all_said("the __animal__s", **texts) == {
        "the lynxs",
        "the red foxs",
        "the grey foxs",
        "the a|bs",
    }
    assert prompts.count("the __animal__s", Files(texts)) == 4


def test_several_lines_of_one_wildcard_are_different_ones() -> None:
    texts = {"animal": "fox\nowl\nfox"}
    assert all_said("{2$$__animal__}", **texts) == {"fox, owl", "owl, fox"}
    assert set(prompts.combinations("{2$$__animal__}", 9, Files(texts))) == {"fox, owl", "owl, fox"}


def test_a_wildcard_between_words_and_brackets_is_found() -> None:
    texts = {"a": "x", "folder/b_c": "y", "цвет": "z"}
    assert (
        said("(__a__:1.2)__a____folder/b_c__ __folder\\b_c__ __цвет__", **texts) == "(x:1.2)xy y z"
    )


def test_files_that_name_each_other_in_a_circle_are_named_in_its_order() -> None:
    texts = {"a": "x\n__b__", "b": "y\nred __c__", "c": "{z|__b__}", "fine": "x"}
    for seed in range(20):  # also for the seeds that would not have gone round
        with pytest.raises(ParamsInvalid, match="__b__ → __c__ → __b__"):
            said("__fine__ {q|__a__}", seed, **texts)
    with pytest.raises(ParamsInvalid, match="circle"):
        prompts.count("__a__", Files(texts))
    with pytest.raises(ParamsInvalid, match="circle"):
        next(prompts.combinations("__a__", 1, Files(texts)))


def test_two_ways_to_one_file_are_no_circle() -> None:
    assert said("__a__ __b__", a="__c__", b="__c__", c="x") == "x x"


def test_a_missing_file_says_which_file_it_stands_in() -> None:
    with pytest.raises(ParamsInvalid, match=r"__nope__ \(it stands in __a__\)"):
        said("{x|__a__}", a="x\n__nope__")
    with pytest.raises(ParamsInvalid, match="no wildcard files"):
        prompts.resolve("__a__", seed=1)


def test_a_prompt_that_grows_without_end_is_refused_soon() -> None:
    doubling = {f"w{n}": f"__w{n + 1}__ __w{n + 1}__" for n in range(30)} | {"w30": "fox"}
    silent = {f"s{n}": f"__s{n + 1}____s{n + 1}__" for n in range(30)} | {"s30": "{|}"}
    for template, texts in (("__w0__", doubling), ("__s0__", silent)):
        with pytest.raises(ParamsInvalid, match="more than"):
            said(template, **texts)
        assert prompts.count(template, Files(texts)) in {1, MOST_COUNTED}
        with pytest.raises(ParamsInvalid, match="more than"):
            next(prompts.combinations(template, 1, Files(texts)))


def test_counts_too_large_for_anybody_stop_at_the_most() -> None:
    assert prompts.count("{a|b}" * 1_900) == MOST_COUNTED
    assert prompts.count("{999$$__w__}", Files({"w": "\n".join(map(str, range(50_000)))})) == (
        MOST_COUNTED
    )
    assert prompts.count("{3$$__w__}", Files({"w": "\n".join(map(str, range(100)))})) == 970_200
    first = prompts.combinations("{a|b}" * 1_900, 3)
    assert [text[-2:] for text in first] == ["aa", "ab", "ba"]


def test_a_long_list_of_combinations_goes_on_as_long_as_it_is_asked() -> None:
    assert len(set(prompts.combinations("{a|b}" * 14, 2**14))) == 2**14


def test_braces_inside_each_other_have_a_limit_and_text_braces_have_none() -> None:
    deep = "{a|" * MAX_NESTING + "b" + "}" * MAX_NESTING
    assert said(deep) in {"a", "b"}
    with pytest.raises(ParamsInvalid, match="deep"):
        said("{c|" + deep + "}")
    with pytest.raises(ParamsInvalid, match="deep"):
        prompts.count("{c|__a__}", Files({"a": deep}))
    braces = "{" * 4_000 + "}" * 4_000
    assert said(braces) == braces
    assert said("{" * 9_000) == "{" * 9_000


def test_long_prompts_are_refused_before_and_after() -> None:
    with pytest.raises(ParamsInvalid, match="characters"):
        said("{a|" + "x" * MAX_TEMPLATE + "}")
    with pytest.raises(ParamsInvalid, match="comes to more than"):
        said("__a__" * 20, a="x" * 1_000)
    assert said("{" + "a" * 6_000 + "|" + "b" * 6_000 + "}")[:1] in "ab"


def test_wildcards_in_a_text_are_listed_once_each_without_the_escaped() -> None:
    assert prompts.mentions(r"__a__ {__b/c*__|x} __a__ \__d__ e__f__g") == ("a", "b/c*")


# ------------------------------------------------------------------------------ styles


STYLES = [Style("Noir", "noir {prompt}, rain", "colour"), Style("Sharp", "sharp focus")]


def test_a_style_goes_around_the_prompt_or_after_it_in_the_order_of_the_names() -> None:
    worn = prompts.chosen([" sharp ", "NOIR", "Sharp"], STYLES)
    assert [style.name for style in worn] == ["Sharp", "Noir"]
    assert prompts.applied("a fox", worn) == "noir a fox, sharp focus, rain"
    assert prompts.negative_applied("blurry", worn) == "blurry, colour"
    assert prompts.negative_applied("", worn) == "colour"
    assert prompts.applied("a fox", []) == "a fox"


def test_every_unknown_style_is_named_with_the_nearest() -> None:
    with pytest.raises(ParamsInvalid, match=r"'Nior'; did you mean Noir\?; .*'Qq'") as caught:
        prompts.chosen(["Nior", "Sharp", "Qq"], STYLES)
    assert "Noir, Sharp" in caught.value.remedy
    assert set(caught.value.fields) == {"styles"}


def test_the_built_in_styles_have_names_of_their_own_and_keep_the_prompt() -> None:
    assert len({style.name.casefold() for style in prompts.BUILT_IN}) == len(prompts.BUILT_IN)
    for style in prompts.BUILT_IN:
        whole = prompts.applied("XX", [style])
        assert "XX" in whole
        assert prompts.resolve(whole, seed=1).text == whole


def test_styles_that_double_the_prompt_end_at_a_limit() -> None:
    with pytest.raises(ParamsInvalid, match="styles"):
        prompts.applied("a fox", [Style("twice", "{prompt} {prompt}")] * 20)


def test_a_csv_of_a1111_is_read_with_its_quotes_and_dividers() -> None:
    text = (
        'name,prompt,negative_prompt\r\nNoir,"film, {prompt}\nrain",colour\r\n----,,\r\nPlain,x\r\n'
    )
    assert prompts.styles_from_csv(text) == [
        Style("Noir", "film, {prompt}\nrain", "colour"),
        Style("Plain", "x"),
    ]
    assert prompts.styles_from_csv("name,text\nOld,x\n") == [Style("Old", "x")]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "prompt\nx\n"])
def test_a_csv_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ParamsInvalid, match=r"styles\.csv"):
        prompts.styles_from_csv(text)


@given(st.text() | st.text().map(lambda text: "name,prompt,negative_prompt\n" + text))
def test_any_csv_is_read_or_refused(text: str) -> None:
    try:
        found = prompts.styles_from_csv(text)
    except ParamsInvalid:
        return
    assert all(style.name for style in found)


@given(st.lists(st.tuples(*[st.text("abc,\"'\n {}") for _ in range(3)]), max_size=5))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("name", "prompt", "negative_prompt"), *rows])
    wanted = [Style(*(cell.strip() for cell in row)) for row in rows]
    assert prompts.styles_from_csv(file.getvalue()) == [
        style for style in wanted if style.name and (style.prompt or style.negative_prompt)
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"Noir": {"prompt": "x", "negativePrompt": "y"}},
        {"Noir": {"prompt": "x", "negative_prompt": "y"}},
        [{"name": "Noir", "prompt": "x", "negative_prompt": "y"}],
    ],
)
def test_the_forms_of_a_json_of_styles_say_the_same(document: Any) -> None:
    assert prompts.styles_from_json(document) == [Style("Noir", "x", "y")]


def test_a_style_of_a_json_may_be_its_words_alone() -> None:
    assert prompts.styles_from_json({"Noir": "x", "Empty": ""}) == [Style("Noir", "x")]


@pytest.mark.parametrize(
    "document", [None, 1, "x", [1], {"a": 1}, {"a": {"prompt": []}}, [{"prompt": "x"}]]
)
def test_a_json_of_something_else_is_refused(document: Any) -> None:
    with pytest.raises(ParamsInvalid, match=r"styles\.json"):
        prompts.styles_from_json(document)


# ------------------------------------------------------------------------------ what a translator must not touch


@given(SYNTAX | st.text())
def test_masking_loses_nothing_and_puts_everything_back(text: str) -> None:
    masked = prompts.mask(text)
    assert len(masked.pieces) == len(masked.kept) + 1
    assert masked.with_pieces(list(masked.pieces)) == text
    assert masked.restored(masked.text) == text


def test_weights_tags_quotes_and_names_are_kept_from_the_translator() -> None:
    masked = prompts.mask(
        '(рыжая лиса:1.2), <lora:лиса:0.8>, вывеска "ХЛЕБ" и «МОЛОКО», [кот:пёс:0.5]'
    )
    seen = "".join(masked.pieces)
    for word in ("lora", "ХЛЕБ", "МОЛОКО", "1.2", "0.5", "(", "]", "<"):
        assert word not in seen
    for word in ("рыжая лиса", "вывеска", "кот", "пёс"):
        assert word in seen


def test_a_translation_gets_back_its_places_its_spaces_and_its_small_letters() -> None:
    masked = prompts.mask("(рыжая лиса:1.2), лес BREAK ночь")
    assert masked.text == "{0}рыжая лиса{1}, лес {2} ночь"
    spoiled = "{ 0 } Red fox { 1 }  forest{2}Night."
    assert masked.restored(spoiled) == "(red fox:1.2), forest BREAK night"


@pytest.mark.parametrize(
    "answer",
    [
        "{0}red fox, forest {2} night",  # lost
        "{0}red fox{1}, {1} forest {2} night",  # doubled
        "{1}red fox{0}, forest {2} night",  # moved
        "{0}{1} red fox, forest {2} night",  # words on the other side of the bracket
        "{0}red fox{1}, forest {2} night {",
        "{0}red fox{1}, forest {2} night {9}",
        "",
    ],
)
def test_a_translation_whose_places_are_wrong_is_not_used(answer: str) -> None:
    assert prompts.mask("(рыжая лиса:1.2), лес BREAK ночь").restored(answer) is None


def test_only_cyrillic_words_outside_of_what_is_kept_are_foreign() -> None:
    assert prompts.mask("лиса").is_foreign
    assert prompts.mask("a fox and a ліс").is_foreign
    for text in ("a fox", 'a sign "ХЛЕБ"', "<lora:лиса:1>", "naïve café, 狐", ""):
        assert not prompts.mask(text).is_foreign
