"""The FLUX family: what each model takes, and what it is sent. The bodies are held against the fake's own reading of
BFL's documents."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.backends import get, parse
from orchestrator.backends.flux import FLUX, BFLParams, encoded, flux_body
from orchestrator.errors import ParamsInvalid
from orchestrator.testing.bfl_models import MODELS

NAMES = [backend.name for backend in FLUX]
FLUX2 = [name for name in NAMES if name.startswith("flux-2")]
LIMITS = {
    "flux": 1,
    "flux-pro-1.1": 1,
    "flux-kontext-pro": 4,
    "flux-kontext-max": 4,
    "flux-2-pro": 8,
    "flux-2-max": 8,
    "flux-2-flex": 8,
    "flux-2-klein-4b": 4,
    "flux-2-klein-9b": 4,
}


def png(width: int = 8, height: int = 8) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def params(name: str, given: dict[str, Any] | None = None) -> BFLParams:
    parsed = parse(get(name), given or {})
    assert isinstance(parsed, BFLParams)
    return parsed


def body(name: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The request for these parameters, which the service must take as it is, without fields it does not know."""
    parsed = params(name, given)
    sent = flux_body(parsed, "an eagle", images=[png() for _ in parsed.images()])
    asked = MODELS[get(name).model].asked
    asked.model_validate(sent)
    assert set(sent) <= set(asked.model_fields), name
    return sent


def refused(name: str, given: dict[str, Any]) -> str:
    with pytest.raises(ParamsInvalid) as caught:
        parse(get(name), given)
    return caught.value.message


def test_every_model_of_the_list_is_a_backend_by_its_own_name() -> None:
    assert {backend.model for backend in FLUX} == set(MODELS)
    assert list(LIMITS) == NAMES
    assert [backend.name for backend in FLUX if backend.name != backend.model] == ["flux"]
    assert all(
        backend.paid and backend.service == "bfl" and "$" in backend.price for backend in FLUX
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_model_can_be_asked_with_nothing_but_a_prompt(name: str) -> None:
    sent = body(name)
    assert sent["prompt"] == "an eagle"
    assert None not in sent.values()
    assert sent["safety_tolerance"] == 2


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_a_model_takes_as_many_images_as_its_documents_say(name: str, limit: int) -> None:
    names = ["image", *(f"image{number}" for number in range(2, limit + 1))]
    sent = body(name, {each: f"{each}.png" for each in names})
    assert sum(field.startswith(("input_image", "image_prompt")) for field in sent) == limit + (
        name == "flux"  # its strength
    )
    assert f"image{limit + 1} is not a parameter" in refused(name, {f"image{limit + 1}": "x.png"})


def test_images_go_out_in_the_order_of_their_numbers_without_gaps() -> None:
    asked = params("flux-2-pro", {"image3": "c.png", "image": "a.png"})
    assert asked.images() == ["a.png", "c.png"]
    sent = flux_body(asked, "x", images=["A", "C"])
    assert (sent["input_image"], sent["input_image_2"]) == ("A", "C")


def test_ultra_is_sent_how_strong_the_image_is_only_with_one() -> None:
    assert "image_prompt_strength" not in body("flux", {"imagePromptStrength": 0.7})
    sent = body("flux", {"image": "a.png", "imagePromptStrength": 0.7})
    assert sent["image_prompt_strength"] == 0.7
    assert "image_prompt_strength" not in body("flux-pro-1.1", {"image": "a.png"})


@pytest.mark.parametrize("name", ["flux-kontext-pro", "flux-kontext-max"])
@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({}, "1:1"),
        ({"aspectRatio": "16:9"}, "16:9"),
        ({"width": 1600, "height": 900}, "16:9"),
        ({"image": "a.png"}, None),  # it keeps the image's
        ({"image": "a.png", "width": 1600, "height": 900}, "16:9"),
        ({"image": "a.png", "aspectRatio": "2:1"}, "2:1"),
    ],
)
def test_kontext_keeps_the_shape_of_the_image_unless_told_otherwise(
    name: str, given: dict[str, Any], shape: str | None
) -> None:
    assert body(name, given).get("aspect_ratio") == shape


@pytest.mark.parametrize("name", FLUX2)
def test_flux_2_keeps_the_size_of_the_image_unless_told_otherwise(name: str) -> None:
    assert (body(name)["width"], body(name)["height"]) == (1024, 1024)
    edited = body(name, {"image": "a.png"})
    assert not {"width", "height"} & set(edited)
    sized = body(name, {"image": "a.png", "width": 512})
    assert (sized["width"], sized["height"]) == (512, 1024)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("flux", {"imagePromptStrength": 1.1}, "must be a number from 0 to 1"),
        ("flux", {"image": ""}, ""),
        ("flux-pro-1.1", {"width": 1000}, "a multiple of 32 from 256 to 1440"),
        ("flux-pro-1.1", {"width": 1472}, "a multiple of 32 from 256 to 1440"),
        ("flux-pro-1.1", {"height": 224}, "a multiple of 32 from 256 to 1440"),
        ("flux-pro-1.1", {"raw": True}, "raw is not a parameter"),
        ("flux-kontext-pro", {"aspectRatio": "3:1"}, "a shape from 21:9 to 9:21"),
        ("flux-kontext-pro", {"safetyTolerance": 7}, "from 0 (strict) to 6 (lax)"),
        ("flux-2-pro", {"safetyTolerance": 6}, "from 0 (strict) to 5 (lax)"),
        ("flux-2-pro", {"width": 1000}, "a multiple of 16 from 64"),
        ("flux-2-pro", {"width": 48}, "a multiple of 16 from 64"),
        ("flux-2-pro", {"width": True}, "a multiple of 16 from 64"),
        ("flux-2-pro", {"width": 2048, "height": 2064}, "at most 4 megapixels"),
        ("flux-2-pro", {"width": 4096, "height": 4096}, "at most 4 megapixels"),
        ("flux-2-pro", {"steps": 20}, "steps is not a parameter"),
        ("flux-2-pro", {"promptUpsampling": True}, "promptUpsampling is not a parameter"),
        ("flux-2-flex", {"steps": 51}, "a whole number from 1 to 50"),
        ("flux-2-flex", {"steps": 0}, "a whole number from 1 to 50"),
        ("flux-2-flex", {"guidance": 1.4}, "a number from 1.5 to 10"),
        ("flux-2-flex", {"guidance": float("nan")}, "a number from 1.5 to 10"),
        ("flux-2-klein-4b", {"guidance": 4}, "guidance is not a parameter"),
        ("flux-2-max", {"outputFormat": "webp"}, "must be jpeg or png"),
        ("flux-2-max", {"negativePrompt": "x"}, "negativePrompt is not a parameter"),
    ],
)
def test_what_a_model_does_not_take_is_refused_before_a_cent_is_spent(
    name: str, given: dict[str, Any], message: str
) -> None:
    if message:
        assert message in refused(name, given)
    else:
        assert params(name, given).images() == []  # empty is not given


@pytest.mark.parametrize("name", FLUX2)
@pytest.mark.parametrize("size", [(2048, 2048), (4096, 1024), (64, 4096), (1024, 4096)])
def test_sizes_up_to_4_megapixels_are_taken(name: str, size: tuple[int, int]) -> None:
    sent = body(name, {"width": size[0], "height": size[1]})
    assert (sent["width"], sent["height"]) == size


@given(width=st.integers(0, 5000), height=st.integers(0, 5000), name=st.sampled_from(NAMES))
def test_every_size_is_sent_as_the_service_takes_it_or_refused(
    width: int, height: int, name: str
) -> None:
    try:
        body(name, {"width": width, "height": height})
    except ParamsInvalid as error:
        assert "must be" in error.message  # noqa: PT017


def test_flex_has_a_hand_on_the_sampler() -> None:
    sent = body("flux-2-flex", {"steps": 10, "guidance": "4.5", "promptUpsampling": False})
    assert (sent["steps"], sent["guidance"], sent["prompt_upsampling"]) == (10, 4.5, False)


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"x" * 20_000_001, (10, 10)), (b"x", (5000, 4001))],
)
def test_an_image_beyond_20_mb_or_20_megapixels_is_not_sent(
    data: bytes, size: tuple[int, int]
) -> None:
    with pytest.raises(ParamsInvalid) as caught:
        encoded(data, name="big.png", size=size)
    assert "big.png is too large" in caught.value.message
    assert "20 MB and 20 megapixels" in caught.value.remedy
    assert base64.b64decode(encoded(b"y" * 20_000_000, name="a", size=(5000, 4000)))
