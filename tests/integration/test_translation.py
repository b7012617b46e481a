"""From what is typed to what is sent: wildcard files, the user's styles, translators, and the job that keeps it all."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.errors import ParamsInvalid, SettingsInvalid, TranslationFailed
from orchestrator.jobs import MAX_PROMPT, Job, Resolved
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.testing import make_job, make_lab
from orchestrator.translation import (
    ArgosTranslator,
    CommandTranslator,
    Phrasebook,
    Translator,
    Wildcards,
    to_english,
    translator_of,
)
from orchestrator.translation.memory import MAX_BYTES, MAX_ENTRIES, Memory, Remembering
from orchestrator.translation.texts import MAX_FILE
from orchestrator.translation.translators import MAX_OUTPUT

WORDS = {"рыжая лиса": "a red fox", "в лесу": "in the forest", "зимой": "in winter", "лес": "wood"}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="uses sh")


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    return Wildcards(tmp_path / "wildcards")


def put(wildcards: Wildcards, name: str, text: str | bytes) -> Path:
    path = wildcards.folder / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def options(wildcards: Wildcards, name: str) -> tuple[str, ...]:
    return wildcards.now().listing(name).options


# ------------------------------------------------------------------------------ wildcard files


def test_a_file_is_read_as_windows_editors_write_it(wildcards: Wildcards) -> None:
    put(
        wildcards,
        "animal",
        b"\xef\xbb\xbf# cats\r\nlynx\r\n\r\n  \xd0\xbb\xd0\xb8\xd1\x81\xd0\xb0 \r\n#owl",
    )
    assert options(wildcards, "animal") == ("lynx", "лиса")
    assert options(wildcards, "ANIMAL") == ("lynx", "лиса")  # as on Windows


def test_patterns_take_the_files_of_a_folder_or_of_all_below_in_the_order_of_their_names(
    wildcards: Wildcards,
) -> None:
    for name in ("c/two", "b", "c/one", "c/deep/three", ".hidden", "c/.git/x"):
        put(wildcards, name, name)
    assert options(wildcards, "c/*") == ("c/one", "c/two")
    assert options(wildcards, "c/t*") == ("c/two",)
    assert options(wildcards, "*") == ("b",)
    assert options(wildcards, "c/**") == ("c/deep/three", "c/one", "c/two")
    assert options(wildcards, "**/three") == ("c/deep/three",)
    assert options(wildcards, "**") == ("b", "c/deep/three", "c/one", "c/two")
    assert wildcards.names() == ["b", "c/deep/three", "c/one", "c/two"]


def test_the_folder_is_made_empty_when_a_wildcard_is_missing(wildcards: Wildcards) -> None:
    with pytest.raises(ParamsInvalid, match="no wildcard __animal__") as caught:
        options(wildcards, "animal")
    assert list(wildcards.folder.iterdir()) == []
    assert str(wildcards.folder / "animal.txt") in caught.value.remedy


@pytest.mark.parametrize("asked", ["animals", "anmal", "animal", "beasts/anima"])
def test_a_missing_wildcard_is_told_with_the_nearest_also_in_folders(
    wildcards: Wildcards, asked: str
) -> None:
    put(wildcards, "beasts/animal", "fox")
    with pytest.raises(ParamsInvalid, match=r"did you mean __beasts/animal__\?"):
        options(wildcards, asked)
    with pytest.raises(ParamsInvalid, match=r"no wildcard __zzz\*__"):
        options(wildcards, "zzz*")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "link", "C:/x", "a\0b"]
)
def test_no_name_leads_out_of_the_folder(wildcards: Wildcards, name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("key")
    wildcards.folder.mkdir()
    (wildcards.folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ParamsInvalid) as caught:
        options(wildcards, name)
    assert "key" not in str(caught.value)


def test_files_that_cannot_be_used_are_told_by_name(wildcards: Wildcards) -> None:
    with put(wildcards, "huge", "").open("r+b") as file:
        file.truncate(MAX_FILE + 1)
    put(wildcards, "cyrillic", "лиса".encode("cp1251"))
    put(wildcards, "empty", "# nothing\n\n")
    (wildcards.folder / "folder.txt").mkdir()
    for name, what in [("huge", "MB"), ("cyrillic", "UTF-8"), ("empty", "no options")]:
        with pytest.raises(ParamsInvalid, match=what) as caught:
            options(wildcards, name)
        assert f"{name}.txt" in caught.value.message
    with pytest.raises(ParamsInvalid):
        options(wildcards, "folder")


def test_a_changed_file_is_read_again_and_one_prompt_sees_one_state(wildcards: Wildcards) -> None:
    path = put(wildcards, "animal", "fox")
    os.utime(path, ns=(1, 1))
    now = wildcards.now()
    assert now.listing("animal").options == ("fox",)
    put(wildcards, "animal", "owl")
    assert now.listing("animal").options == ("fox",)
    assert options(wildcards, "animal") == ("owl",)
    path.unlink()
    with pytest.raises(ParamsInvalid):
        options(wildcards, "animal")


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    book = Phrasebook(tmp_path, translate="off")
    put(book.wildcards, "many", "\n".join(f"word {n}" for n in range(100_000)))
    assert book.count("__many__ {a|b}") == 200_000
    assert options(book.wildcards, "many") is options(book.wildcards, "many")


# ------------------------------------------------------------------------------ styles of the user


def test_styles_of_both_files_are_added_and_the_json_wins(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text(
        "\ufeffname,prompt,negative_prompt\nNoir,csv noir,\nanime,my own,\n", encoding="utf-8"
    )
    (tmp_path / "styles.json").write_text('{"NOIR": "json noir"}', encoding="utf-8")
    book = Phrasebook(tmp_path, translate="off")
    assert book.wording("a fox", seed=1, styles=["noir"]).prompt == "a fox, json noir"
    assert book.wording("a fox", seed=1, styles=["Anime"]).prompt == "a fox, my own"
    names = [style.name for style in book.styles()]
    assert "Cinematic" in names
    assert len(names) == len({name.casefold() for name in names})


def test_broken_style_files_hurt_only_who_asks_for_a_style(tmp_path: Path) -> None:
    (tmp_path / "styles.json").write_text("{", encoding="utf-8")
    book = Phrasebook(tmp_path, translate="off")
    assert book.wording("a fox", seed=1).resolved is None
    with pytest.raises(ParamsInvalid, match="not JSON"):
        book.wording("a fox", seed=1, styles=["Anime"])


# ------------------------------------------------------------------------------ translators


class Dictionary:
    """Translates the words it knows, `spoiling` the whole text first if it is told to."""

    name = "dictionary"

    def __init__(self, spoil: Callable[[str], str] = lambda text: text) -> None:
        self._spoil = spoil
        self.asked: list[str] = []

    async def translate(self, text: str, *, to: str = "en") -> str:
        self.asked.append(text)
        said = self._spoil(text)
        for word, meaning in WORDS.items():
            said = said.replace(word, meaning)
        return said


def english(text: str, translator: Translator) -> str:
    return asyncio.run(to_english(text, translator))


RICH = '(рыжая лиса:1.2) в лесу, <lora:лиса:0.8>, "ХЛЕБ"\n[зимой:в лесу:0.5]'
RICH_ENGLISH = (
    '(a red fox:1.2) in the forest, <lora:лиса:0.8>, "ХЛЕБ"\n[in winter:in the forest:0.5]'
)


def test_words_are_translated_and_the_rest_stays_as_it_is() -> None:
    whole = Dictionary()
    assert english(RICH, whole) == RICH_ENGLISH
    assert len(whole.asked) == 1
    assert "lora" not in whole.asked[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("{1}", ""),
        lambda text: text.replace("{0}", "{1}"),
        lambda text: text.replace("{", "(").replace("}", ")"),
        lambda text: text + " {0}" * ("{" in text),
    ],
)
def test_a_translator_that_loses_its_places_gets_the_text_in_pieces(
    spoil: Callable[[str], str],
) -> None:
    careless = Dictionary(spoil)
    # what it does to the whole it cannot do to pieces, which have no places to lose
    assert english(RICH, careless).startswith("(a red fox:1.2)")
    assert '<lora:лиса:0.8>, "ХЛЕБ"\n[in winter:in the forest:0.5]' in english(RICH, careless)
    assert "рыжая лиса" in careless.asked


def test_english_text_and_cyrillic_names_alone_are_not_sent_anywhere() -> None:
    translator = Dictionary()
    for text in ("a fox", "<lora:лиса:1> a fox", 'a sign "ХЛЕБ"', ""):
        assert english(text, translator) == text
    assert translator.asked == []


@pytest.mark.parametrize("spoil", [lambda _: "", lambda _: " \n", lambda text: text])
def test_an_answer_that_is_no_translation_is_a_failure(spoil: Callable[[str], str]) -> None:
    with pytest.raises(TranslationFailed) as caught:
        english("непонятно", Dictionary(spoil))
    assert "off" in caught.value.remedy


def command(tmp_path: Path, source: str, *, timeout_s: float = 20.0) -> CommandTranslator:
    script = tmp_path / "translator of mine.py"
    script.write_text(source, encoding="utf-8")
    line = f'"{sys.executable}" "{script}"'
    return CommandTranslator(line, timeout_s=timeout_s)


def test_a_command_gets_the_text_and_says_the_translation_in_utf_8(tmp_path: Path) -> None:
    source = (
        "import os, sys\nassert os.environ['TRANSLATE_TO'] == 'en'\n"
        "print(sys.stdin.read().replace('лес', 'wood — 森'))"
    )
    said = asyncio.run(command(tmp_path, source).translate("лес $(touch x); `id` & | > y\nлес"))
    assert said == "wood — 森 $(touch x); `id` & | > y\nwood — 森"
    assert not (tmp_path / "x").exists()


def test_no_shell_sees_the_command_line(tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -c 'import sys; print(sys.argv[1:])' ; touch {tmp_path / 'x'}"
    assert "'touch'" in asyncio.run(CommandTranslator(line).translate("лес"))
    assert not (tmp_path / "x").exists()


def test_a_command_does_not_see_the_keys_of_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFL_API_KEY", "sk-secret")
    monkeypatch.setenv("OWN_KEY", "mine")
    source = "import os\nprint(os.environ.get('BFL_API_KEY'), os.environ.get('OWN_KEY'))"
    assert asyncio.run(command(tmp_path, source).translate("лес")) == "None mine"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import sys; sys.exit('no credits left')", "exit code 1: no credits left"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe')", "not UTF-8"),
        (f"print('x' * {MAX_OUTPUT + 10})", "more than"),
        ("import sys\nwhile True: sys.stdout.write('x' * 10000)", "more than"),
    ],
)
def test_a_command_that_fails_is_told_with_its_last_words(
    tmp_path: Path, source: str, what: str
) -> None:
    with pytest.raises(TranslationFailed, match=what) as caught:
        asyncio.run(command(tmp_path, source).translate("лес"))
    assert "ORCHESTRATOR_TRANSLATE" in caught.value.remedy


def test_a_command_that_reads_nothing_may_still_answer(tmp_path: Path) -> None:
    source = "import os, sys; os.close(0); print('wood')"
    assert asyncio.run(command(tmp_path, source).translate("лес " * 2_000)) == "wood"


def test_a_command_that_hangs_is_ended_after_its_time(tmp_path: Path) -> None:
    slow = command(tmp_path, "import time; time.sleep(600)", timeout_s=0.5)
    with pytest.raises(TranslationFailed, match=r"more than 0\.5 s"):
        asyncio.run(slow.translate("лес"))


@POSIX
def test_a_child_that_keeps_the_output_open_is_ended_too() -> None:
    lingering = CommandTranslator("sh -c 'sleep 600 & echo wood'", timeout_s=0.5)
    began = time.monotonic()
    with pytest.raises(TranslationFailed):
        asyncio.run(lingering.translate("лес"))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("line", ["no-such-program-here --x", "'", "'' x"])
def test_a_command_that_is_none_is_told(line: str) -> None:
    with pytest.raises(TranslationFailed, match=r"ORCHESTRATOR_TRANSLATE|does not start"):
        asyncio.run(CommandTranslator(line).translate("лес"))


ARGOS = """
class Pair:
    def translate(self, text):
        if text == "boom": raise RuntimeError("no memory\\nleft")
        return " wood "
class Language:
    def __init__(self, code): self.code = code
    def get_translation(self, other): return Pair() if (self.code, other.code) == ("ru", "en") else None
codes, later = CODES, LATER
class Known:
    def __call__(self): return [Language(code) for code in codes]
    def cache_clear(self): codes[:] = later
get_installed_languages = Known()
"""


@pytest.fixture
def argos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Stands in for the package: `argos(source)` installs it, with what its models are."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "argostranslate"]:
            del sys.modules[name]

    def install(source: str) -> None:
        package = tmp_path / "site" / "argostranslate"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "translate.py").write_text(source)
        monkeypatch.syspath_prepend(str(package.parent))

    forget()
    yield install
    forget()


def test_argos_translates_when_it_and_its_model_are_there(argos: Callable[[str], None]) -> None:
    argos(ARGOS.replace("CODES", '["ru", "en"]').replace("LATER", "[]"))
    translator = translator_of("argos")
    assert translator is not None
    assert asyncio.run(translator.translate("лес")) == "wood"
    with pytest.raises(TranslationFailed, match="RuntimeError: no memory left"):
        asyncio.run(translator.translate("boom"))


def test_argos_without_its_model_says_how_to_get_it_and_sees_it_once_it_is_there(
    argos: Callable[[str], None],
) -> None:
    argos(ARGOS.replace("CODES", '["en"]').replace("LATER", '["en"]'))
    with pytest.raises(TranslationFailed, match="ru to en") as caught:
        asyncio.run(ArgosTranslator().translate("лес"))
    assert "argospm install translate-ru_en" in caught.value.remedy
    vars(sys.modules["argostranslate.translate"])["later"] = ["ru", "en"]
    assert asyncio.run(ArgosTranslator().translate("лес")) == "wood"


def test_argos_that_is_not_installed_says_how_to_install_it(
    argos: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if it were not, wherever this runs
    monkeypatch.setitem(sys.modules, "argostranslate", None)
    with pytest.raises(TranslationFailed, match="not installed") as caught:
        asyncio.run(ArgosTranslator().translate("лес"))
    assert "orchestrator-lab[translate]" in caught.value.remedy


# ------------------------------------------------------------------------------ memory


def test_the_same_is_not_asked_twice_not_even_by_another_process(tmp_path: Path) -> None:
    asked = Dictionary()
    for _ in range(3):
        again = Remembering(asked, Memory(tmp_path / "translations.json"))
        assert asyncio.run(again.translate("лес")) == "wood"
    assert asked.asked == ["лес"]


def test_another_translator_and_another_text_are_asked_anew(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "translations.json")
    first, second = Dictionary(), Dictionary(str.upper)
    second.name = "another"
    assert english("лес", Remembering(first, memory)) == "wood"
    asyncio.run(Remembering(second, memory).translate("лес"))
    asyncio.run(Remembering(first, memory).translate("зимой"))
    assert (first.asked, second.asked) == (["лес", "зимой"], ["лес"])


def test_the_memory_stays_small_and_forgets_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "translations.json"
    path.write_bytes(orjson.dumps({f"k{n}": "x" for n in range(MAX_ENTRIES)}))
    memory = Memory(path)
    memory.note("new", "y")
    assert memory.recall("k0") is None
    assert (memory.recall("k1"), memory.recall("new")) == ("x", "y")
    for n in range(5):
        memory.note(f"long {n}", "z" * (MAX_BYTES // 3))
    assert path.stat().st_size <= MAX_BYTES
    assert memory.recall("long 4")


@pytest.mark.parametrize("junk", [b"", b"[1]", b"{", b'{"a": 1}', b"\xff"])
def test_a_damaged_memory_costs_nothing_but_a_question(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "translations.json"
    path.write_bytes(junk)
    assert english("лес", Remembering(Dictionary(), Memory(path))) == "wood"
    assert Memory(path).recall("a") is None
    assert list(orjson.loads(path.read_bytes()).values()) == ["wood"]


def test_a_memory_that_cannot_be_written_does_not_stop_the_translation(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "no such folder" / "translations.json")
    assert english("лес", Remembering(Dictionary(), memory)) == "wood"


# ------------------------------------------------------------------------------ the setting


@pytest.mark.parametrize(
    ("line", "setting"),
    [("", "off"), ("OFF", "off"), ("Argos", "argos"), ("command: my tool ", "command:my tool")],
)
def test_the_setting_is_read_whatever_its_case(tmp_path: Path, line: str, setting: str) -> None:
    paths = Paths.init(tmp_path)
    paths.env_file.write_text(f"ORCHESTRATOR_TRANSLATE={line}\n", encoding="utf-8")
    assert Settings.load(paths).orchestrator_translate == setting


@pytest.mark.parametrize("line", ["google", "command:", "command:  "])
def test_another_setting_is_refused_and_a_command_is_not_shown(tmp_path: Path, line: str) -> None:
    paths = Paths.init(tmp_path)
    paths.env_file.write_text(f"ORCHESTRATOR_TRANSLATE={line}\n", encoding="utf-8")
    with pytest.raises(SettingsInvalid, match="ORCHESTRATOR_TRANSLATE"):
        Settings.load(paths)
    shown = repr(Settings(orchestrator_translate="command:tool --key sk-1"))
    assert "sk-1" not in shown


# ------------------------------------------------------------------------------ the lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        yield lab


@pytest.fixture
def translating(tmp_path: Path) -> Iterator[Lab]:
    """A lab with a translator that knows WORDS."""
    script = tmp_path / "translator.py"
    script.write_text(
        "import sys\ntext = sys.stdin.read()\n"
        f"for word, meaning in {WORDS!r}.items(): text = text.replace(word, meaning)\n"
        "print(text)",
        encoding="utf-8",
    )
    with make_lab(tmp_path / "lab", comfy_url="http://127.0.0.1:9") as known:
        paths, before = known.paths, known.settings
    line = f'command:"{sys.executable}" "{script}"'
    with Lab(paths, before.model_copy(update={"orchestrator_translate": line})) as lab:
        yield lab


def on_disk(lab: Lab, job: Job) -> Job:
    return Job.from_json(lab.store.layout.job(job.id).read_bytes(), id=job.id)


def test_a_plain_job_has_nothing_of_it_in_its_file(lab: Lab) -> None:
    job = lab.submit("a red fox, (sharp:1.2)", params={"seed": 1})
    document = orjson.loads(lab.store.layout.job(job.id).read_bytes())
    assert "resolved" not in document
    assert (job.text, job.sent_params, job.logs) == ("a red fox, (sharp:1.2)", job.params, [])


def test_a_job_keeps_what_was_typed_and_what_is_sent(lab: Lab) -> None:
    put(lab.phrasebook.wildcards, "animal", "fox\nowl\nlynx")
    asked = {"seed": 5, "negative_prompt": "{a|b}", "styles": ["photo"], "steps": 3}
    job = on_disk(lab, lab.submit("a {red|grey} __animal__", params=asked))
    assert job.prompt == "a {red|grey} __animal__"
    assert job.params == asked
    assert job.resolved is not None
    assert job.resolved.styles == ["Photo"]
    assert job.text.startswith("photograph of a ")
    assert "__" not in job.text
    assert "|" not in job.text
    sent = dict(job.sent_params)
    assert sent.pop("negativePrompt").split(", ")[0] in {"a", "b"}
    assert sent == {"seed": 5, "steps": 3}
    assert len(lab.store.layout.job(job.id).read_bytes()) < 4_000


def test_the_seed_that_was_chosen_is_the_one_the_prompt_was_drawn_with(lab: Lab) -> None:
    template = "{" + "|".join(str(n) for n in range(500)) + "}"
    first = lab.submit(template)
    again = lab.submit(template, params={"seed": first.params["seed"]})
    assert again.text == first.text
    assert lab.preview_prompt(template, seed=first.params["seed"]).prompt == first.text
    assert len({lab.submit(template).text for _ in range(20)}) > 10


def test_a_duplicate_asks_for_the_same_although_the_file_has_changed(lab: Lab) -> None:
    put(lab.phrasebook.wildcards, "animal", "fox")
    job = lab.submit("a __animal__")
    put(lab.phrasebook.wildcards, "animal", "another animal")
    twin = lab.duplicate(job.id)
    assert (twin.prompt, twin.text, twin.params) == ("a __animal__", "a fox", job.params)
    assert lab.submit("a __animal__").text == "a another animal"


def test_a_retry_sends_what_the_first_try_sent(lab: Lab) -> None:
    put(lab.phrasebook.wildcards, "animal", "fox")
    job = lab.submit("a __animal__")
    (lab.phrasebook.wildcards.folder / "animal.txt").unlink()
    lab.cancel(job.id)
    assert lab.retry(job.id).text == "a fox"


def test_literal_sends_every_sign_as_it_stands(translating: Lab) -> None:
    job = translating.submit("{a|b} __x__ лес", literal=True)
    assert (job.text, job.resolved) == ("{a|b} __x__ лес", None)


def test_a_doubtful_brace_is_noted_in_the_jobs_log(lab: Lab) -> None:
    job = lab.submit("a {fox")
    assert (job.text, job.resolved) == ("a {fox", None)
    assert any("never closes" in line for line in on_disk(lab, job).logs)


@pytest.mark.parametrize(
    ("prompt", "params", "what"),
    [
        ("a __nope__", {}, "no wildcard"),
        ("a fox", {"negativePrompt": "__nope__"}, "no wildcard"),
        ("a fox", {"styles": ["Nope"]}, "no style"),
        ("a fox", {"styles": 5}, "names of styles"),
        ("a fox", {"styles": ["x"] * 21}, "names of styles"),
        ("{|}", {}, "nothing is left"),
        ("a \ud800 лес", {}, "JSON"),
        ("x" * (MAX_PROMPT + 1), {}, "characters"),
        ("x" * MAX_PROMPT, {"styles": ["Photo"]}, "characters"),
    ],
)
def test_a_prompt_that_cannot_be_made_is_refused_before_there_is_a_job(
    lab: Lab, prompt: str, params: dict[str, object], what: str
) -> None:
    with pytest.raises(ParamsInvalid, match=what):
        lab.submit(prompt, params=params)
    assert lab.page()[1] == 0


def test_styles_may_be_written_as_text_and_flux_leaves_out_what_they_exclude(lab: Lab) -> None:
    styles = {"Noir": {"prompt": "noir", "negative_prompt": "colour"}}
    (lab.paths.data / "styles.json").write_bytes(orjson.dumps(styles))
    job = lab.submit("a fox", backend="flux", params={"styles": "noir ,", "seed": 1}, hold=True)
    assert job.text == "a fox, noir"
    assert job.sent_params == {"seed": 1}
    assert any("no negative prompt" in line for line in job.logs)


def test_styles_come_first_then_wildcards_then_translation(translating: Lab) -> None:
    (translating.paths.data / "styles.json").write_text('{"S": "{зимой|зимой}"}', encoding="utf-8")
    put(translating.phrasebook.wildcards, "place", "в лесу")
    job = on_disk(translating, translating.submit("рыжая лиса __place__", params={"styles": ["S"]}))
    assert job.resolved == Resolved(
        prompt="a red fox in the forest, in winter",
        original="рыжая лиса в лесу, зимой",
        translated_from="ru",
        styles=["S"],
    )
    assert job.prompt == "рыжая лиса __place__"


def test_the_negative_prompt_is_translated_too(translating: Lab) -> None:
    job = translating.submit("a fox", params={"negativePrompt": "лес"})
    assert job.sent_params["negativePrompt"] == "wood"
    assert job.params["negativePrompt"] == "лес"
    assert job.text == "a fox"


def test_prompt_and_negative_prompt_are_drawn_apart(lab: Lab) -> None:
    asked: dict[str, object] = {"negativePrompt": "{a|b}"}
    drawn = [lab.preview_prompt("{a|b}", params=asked, seed=seed) for seed in range(60)]
    assert len({(each.prompt, each.negative_prompt) for each in drawn}) == 4


def test_a_translation_that_is_no_prompt_any_more_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "talker.py"
    script.write_text(f"print('word ' * {MAX_PROMPT})", encoding="utf-8")
    book = Phrasebook(tmp_path, translate=f'command:"{sys.executable}" "{script}"')
    with pytest.raises(ParamsInvalid, match="characters"):
        book.wording("лес", seed=1)


def test_english_is_never_given_to_the_translator(lab: Lab) -> None:
    settings = lab.settings.model_copy(update={"orchestrator_translate": "command:no-such-program"})
    with Lab(lab.paths, settings) as other:
        assert other.submit("a red fox").resolved is None
        with pytest.raises(TranslationFailed):
            other.submit("лес")
        assert other.page()[1] == 1  # the prompt stays where it was typed
        assert other.submit("лес", literal=True).text == "лес"


def test_without_a_translator_russian_is_sent_as_it_is(lab: Lab) -> None:
    assert lab.submit("рыжая лиса").resolved is None


def test_a_notebook_cell_can_submit_although_its_loop_runs(translating: Lab) -> None:
    async def cell() -> tuple[str, str]:
        handle = await translating.generate("лес")
        return translating.submit("зимой").text, handle.job.text

    assert asyncio.run(cell()) == ("in winter", "wood")


def test_old_job_files_and_those_of_later_versions_are_read() -> None:
    job = make_job("a fox")
    assert "resolved" not in orjson.loads(job.to_json())
    document = job.to_document() | {"resolved": {"prompt": "x", "ofLater": 1}}
    read = Job.from_json(orjson.dumps(document), id=job.id)
    assert (read.text, read.to_document()["resolved"]["ofLater"]) == ("x", 1)


def test_the_picture_is_made_from_what_is_sent_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMFY_URL", raising=False)
    Paths.init(tmp_path)

    async def work(lab: Lab) -> None:
        put(lab.phrasebook.wildcards, "animal", "fox")
        async with lab.worker():  # no ComfyUI is named: the embedded engine is started
            small = {"steps": 1, "width": 64, "height": 64, "seed": 7}
            drawn = await lab.image("a __animal__", negative_prompt="{x|x}", **small)
            plain = await lab.image("a fox", negative_prompt="x", **small)
        assert drawn.recipe is not None
        assert drawn.recipe.prompt == "a __animal__"
        assert drawn.recipe.resolved is not None
        assert drawn.recipe.resolved.prompt == "a fox"
        assert drawn.recipe.resolved.negative_prompt == "x"
        workflow = str(drawn.recipe.workflow)
        assert "animal" not in workflow
        assert "{x|x}" not in workflow
        with Image.open(drawn.path) as first, Image.open(plain.path) as second:
            assert first.tobytes() == second.tobytes()

    with Lab.open(tmp_path) as lab:
        asyncio.run(work(lab))


# ------------------------------------------------------------------------------ the command


def test_the_command_shows_what_would_be_sent_and_submits_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_PATHS", str(lab.paths.file))
    put(lab.phrasebook.wildcards, "animal", "fox\nowl")
    asked = [
        "prompt",
        "a __animal__",
        "--seed",
        "3",
        "--count",
        "4",
        "--negative",
        "blur",
        "--json",
    ]
    run = CliRunner().invoke(cli.app, asked)
    assert run.exit_code == 0
    said = orjson.loads(run.stdout)
    assert said["ways"] == 2
    assert [each["seed"] for each in said["prompts"]] == [3, 4, 5, 6]
    for each in said["prompts"]:
        assert each["prompt"] == lab.preview_prompt("a __animal__", seed=each["seed"]).prompt
        assert each["negativePrompt"] == "blur"
    run = CliRunner().invoke(cli.app, ["prompt", "a __animl__"])
    assert run.exit_code == 2
    assert lab.page()[1] == 0
