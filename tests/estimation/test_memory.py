"""Bytes by part, against sums written out by hand."""

from dataclasses import replace

import pytest

from cairn.errors import RequestError
from cairn.estimation.memory import Moment, memory
from cairn.estimation.plan import Method, Optimizer, Plan, Precision, Sharding
from cairn.estimation.walking import Walker
from tests.estimation.subjects import LAYERS, WIDE, WIDTH, WORDS, decoder

WALKER = Walker(decoder())
BLOCK = 4 * WIDTH * WIDTH + 3 * WIDTH * WIDE + 2 * WIDTH
N = LAYERS * BLOCK + 2 * WORDS * WIDTH + WIDTH


def test_parameters_are_the_sum_of_shapes() -> None:
    assert WALKER.trained(Plan()).parameters == N


@pytest.mark.parametrize(
    ("precision", "optimizer", "each"),
    [
        (Precision.FP32, Optimizer.ADAMW, (4, 4, 8)),
        (Precision.BF16, Optimizer.ADAMW, (2, 2, 4)),
        (Precision.AMP, Optimizer.ADAMW, (4, 4, 8)),
        (Precision.FP32, Optimizer.SGD, (4, 4, 4)),
        (Precision.FP32, Optimizer.ADAMW_8BIT, (4, 4, 2 + 8 / 256)),
    ],
)
def test_states_take_their_bytes_of_each_parameter(
    precision: Precision, optimizer: Optimizer, each: tuple[float, float, float]
) -> None:
    plan = Plan(batch=1, seq=1, precision=precision, optimizer=optimizer)
    found = memory(WALKER, plan)
    assert found.moment is Moment.STEP
    assert (found.weights, found.gradients, found.optimizer) == tuple(N * one for one in each)


def test_a_tied_table_has_a_second_gradient_where_there_are_scores_over_words() -> None:
    tensors = {n: s for n, s in decoder().tensors.items() if n != "lm_head.weight"}
    tied = replace(decoder(), tensors=tensors, config={})
    classifier = replace(tied, class_name="SomeForSequenceClassification")
    plan = Plan(batch=1, seq=1)
    assert memory(Walker(tied), plan).workspace == 4 * WORDS * WIDTH
    assert memory(Walker(classifier), plan).workspace == 0


def test_an_adapter_trains_rank_times_inputs_and_outputs() -> None:
    plan = Plan(Method.LORA, rank=8)
    adapters = LAYERS * 2 * 8 * (WIDTH + WIDTH)
    found = memory(WALKER, plan)
    assert WALKER.trained(plan).count == adapters
    assert found.weights == 4 * (N + adapters)
    assert found.optimizer == 8 * adapters


def test_qlora_keeps_matrices_in_four_bits_and_a_scale() -> None:
    plan = Plan(Method.QLORA, rank=8, precision=Precision.BF16)
    matrices = LAYERS * (BLOCK - 2 * WIDTH)
    adapters = LAYERS * 2 * 8 * (WIDTH + WIDTH)
    wanted = matrices * (0.5 + 4 / 64) + 2 * (N - matrices) + 2 * adapters
    assert memory(WALKER, plan).weights == wanted


def test_scales_in_eight_bits_and_an_output_layer_in_four_take_less() -> None:
    plan = Plan(Method.QLORA, rank=8, precision=Precision.BF16)
    matrices, head = LAYERS * (BLOCK - 2 * WIDTH), WORDS * WIDTH
    plain = memory(WALKER, plan).weights
    double = memory(WALKER, replace(plan, double_quant=True)).weights
    assert plain - double == pytest.approx(matrices * (4 / 64 - 1 / 64 - 4 / 64 / 256))
    whole = memory(WALKER, replace(plan, quantised_head=True)).weights
    assert plain - whole == pytest.approx(head * (2 - 0.5 - 4 / 64))


def test_what_four_bits_leave_out_is_in_float32_under_autocast() -> None:
    plan = Plan(Method.QLORA, rank=8, precision=Precision.AMP)
    rest = 2 * WORDS * WIDTH + WIDTH + LAYERS * 2 * WIDTH
    narrow = memory(WALKER, replace(plan, precision=Precision.BF16)).weights
    adapters = LAYERS * 2 * 8 * 2 * WIDTH
    assert memory(WALKER, plan).weights - narrow == 2 * rest + 2 * adapters


def test_an_old_bitsandbytes_keeps_the_inputs_of_products_once_or_twice() -> None:
    plan = Plan(Method.QLORA, batch=64, seq=64, precision=Precision.BF16)
    none, once, twice = (WALKER.tape(replace(plan, kept_inputs=n)) for n in (0, 1, 2))
    each = LAYERS * 64 * 64 * 2  # layers x tokens x bytes
    # An adapter keeps what goes into queries and values anyway, attention its result.
    assert once.kept_bytes - none.kept_bytes == each * (WIDTH + WIDE)
    assert (none.carried_bytes, once.carried_bytes) == (0, 0)
    assert twice.kept_bytes == once.kept_bytes
    assert twice.carried_bytes == each * (3 * WIDTH + WIDE)


@pytest.mark.parametrize(
    ("sharding", "divided"),
    [
        (Sharding.ZERO1, {"optimizer"}),
        (Sharding.ZERO2, {"optimizer", "gradients"}),
        (Sharding.ZERO3, {"optimizer", "gradients", "weights"}),
        (Sharding.FSDP, {"optimizer", "gradients", "weights"}),
    ],
)
def test_sharding_divides_what_its_stage_says(sharding: Sharding, divided: set[str]) -> None:
    # Gathered gradients, so that all of them are there at either moment.
    whole = memory(WALKER, Plan(accumulation=2, gpus=4)).parts
    parts = memory(WALKER, Plan(accumulation=2, gpus=4, sharding=sharding)).parts
    for part in ("weights", "gradients", "optimizer"):
        assert parts[part] == whole[part] / (4 if part in divided else 1)


@pytest.mark.parametrize(
    ("sharding", "there"),
    [(Sharding.NONE, 1), (Sharding.ZERO1, 1), (Sharding.ZERO2, 0), (Sharding.FSDP, 0)],
)
def test_several_devices_hold_gradients_once_more_to_send_them(
    sharding: Sharding, there: int
) -> None:
    one, many = memory(WALKER, Plan()), memory(WALKER, Plan(gpus=4, sharding=sharding))
    assert one.communication == 0
    assert many.communication == there * 4 * N


def test_the_fullest_moment_moves_from_the_step_to_the_backward_pass() -> None:
    few, many = memory(WALKER, Plan(batch=1, seq=4)), memory(WALKER, Plan(batch=64, seq=64))
    assert (few.moment, many.moment) == (Moment.STEP, Moment.BACKWARD)
    assert few.activations == 0 and many.gradients == 0
    gathered = memory(WALKER, Plan(batch=64, seq=64, accumulation=2))
    assert gathered.total == many.total + 4 * N


def test_the_last_layer_alone_keeps_nothing_below_it() -> None:
    found = memory(WALKER, Plan(Method.LAST_LAYER, batch=8, seq=64))
    assert found.activations == 0
    assert WALKER.trained(Plan(Method.LAST_LAYER)).count == WORDS * WIDTH


def test_memory_grows_with_the_batch_and_shrinks_with_narrower_numbers() -> None:
    plan = Plan(batch=32, seq=64)
    totals = [memory(WALKER, replace(plan, batch=n)).total for n in (16, 32, 64)]
    assert totals == sorted(totals)
    assert memory(WALKER, replace(plan, precision=Precision.BF16)).total < totals[1]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"batch": 0}, {"seq": -1}, {"rank": 1 << 20}, {"adapter_dropout": 1.0}),
        *({"sharding": Sharding.ZERO1}, {"image": -4}, {"target_seq": -1}, {"kept_inputs": 3}),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        Plan(**wrong)  # type: ignore[arg-type]
