"""The table of models and its rules."""

import json

import pytest
from conftest import REFERENCE, ROOT, needs_shared

from tinyhd_lib import MODEL_SPECS, ModelSpec, build_model
from tinyhd_lib.models import decoders
from tinyhd_lib.models.weights import WEIGHTS

FIELDS = ("reduction", "decoders", "single_frame", "d1_last", "force_multi", "outputs")
USUAL = {"reduction": 4, "decoders": ("d1", "d2", "d3"), "single_frame": (True, False, False), "outputs": 16}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"reduction": 3}, "reduction is one of"),
        ({"decoders": ()}, "decoders are one or more"),
        ({"decoders": ("d2", "d1", "d3")}, "in order"),
        ({"decoders": ("d1", "d2", "d4")}, "in order"),
        ({"decoders": ("d3",) * 4, "single_frame": (False,) * 4}, "at most three"),
        ({"single_frame": (True, False)}, "one entry a decoder"),
        ({"force_multi": True}, "force_multi needs"),
        ({"decoders": ("d1",), "single_frame": (False,), "d1_last": True}, "d1_last needs"),
        ({"decoders": ("d1", "d1"), "single_frame": (False, False), "d1_last": True}, "d1_last needs"),
        ({"single_frame": (True, True, True)}, "1 output"),
        ({"outputs": 1}, "8 or 16 outputs"),
        ({"outputs": 4}, "8 or 16 outputs"),
        ({"outputs": 8, "single_frame": (False, False, False)}, "with 8 outputs D1"),
    ],
)
def test_a_combination_that_is_no_model_is_refused_with_its_rule(change: dict, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        ModelSpec(**(USUAL | change))


@pytest.mark.parametrize("name", MODEL_SPECS)
def test_a_row_survives_the_way_through_json(name: str) -> None:
    spec = MODEL_SPECS[name]
    assert ModelSpec(**json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_model_with_weights_has_its_number_of_parameters(name: str) -> None:
    assert sum(p.numel() for p in build_model(WEIGHTS[name].spec).parameters()) == WEIGHTS[name].parameters


def test_models_are_found_by_readable_names_and_listed_once() -> None:
    assert len(MODEL_SPECS) == len(set(MODEL_SPECS)) >= 22
    assert MODEL_SPECS["M-r1"] == MODEL_SPECS["d1d2d3_M_lt"] != MODEL_SPECS["M-r1-ucf"] == MODEL_SPECS["ucf_d123m"]
    assert MODEL_SPECS["S-r1-D1+D2"] == MODEL_SPECS["d12_S"]
    assert "S-r8" in MODEL_SPECS
    assert "M-r3" not in MODEL_SPECS
    assert MODEL_SPECS.get("M-r3") is None
    with pytest.raises(KeyError):
        MODEL_SPECS["M-r3"]


@needs_shared
def test_the_table_holds_every_variant_of_the_specification() -> None:
    variants = json.loads((REFERENCE / "variants.json").read_text())
    for name, row in variants.items():
        assert MODEL_SPECS[name] == ModelSpec(**{field: row[field] for field in FIELDS}), name
        model = build_model(MODEL_SPECS[name])
        assert sum(p.numel() for p in model.parameters()) == row["parameters"], name


def test_labels_tell_the_models_of_one_reduction_apart() -> None:
    r1 = {spec: spec.label for spec in MODEL_SPECS.values() if spec.reduction == 1 and not spec.d1_last}
    assert len(set(r1.values())) == len(r1)


def test_the_page_about_the_model_has_the_decoders_tables() -> None:
    page = (ROOT / "docs/model.md").read_text(encoding="utf-8").replace(" | ", " ")
    first, *others = decoders.DECODER_CLASSES.values()
    for decoder in others:
        for reduction, channels in decoder.channels.items():
            assert f"| {reduction} {' '.join(map(str, channels))} |" in page
    for number in range(4):
        inputs = ", ".join(str(channels[4 * number][0]) for channels in first.channels.values())
        (_, width), *rest = first.channels[1][4 * number : 4 * number + 4]
        assert f"| L{number + 1} {inputs} (., {width}) {' '.join(map(str, rest))} |" in page
