"""The whole answer: largest batches, time, prices, and what helps."""

from dataclasses import replace

import pytest

from cairn.errors import RequestError
from cairn.estimation.devices import Device, catalogue
from cairn.estimation.duration import Prices
from cairn.estimation.estimate import estimate, fits, largest_batch
from cairn.estimation.memory import memory
from cairn.estimation.plan import Method, Plan, Precision, Sharding
from cairn.estimation.walking import Walker
from tests.estimation.subjects import decoder

SUBJECT = decoder(layers=4, width=512, wide=1024, words=4000)
WALKER = Walker(SUBJECT)
PLAN = Plan(batch=4, seq=256, precision=Precision.AMP)
DEVICE = Device("d", "D", 100.0, 10.0, 2.0, 500.0, 200.0, "made up", (), (0.4, 0.5))


def test_the_largest_batch_fits_and_the_next_does_not() -> None:
    found = largest_batch(WALKER, PLAN, DEVICE)
    assert found > 1
    assert fits(memory(WALKER, replace(PLAN, batch=found)), DEVICE)
    assert not fits(memory(WALKER, replace(PLAN, batch=found + 1)), DEVICE)
    assert largest_batch(WALKER, PLAN, replace(DEVICE, memory_gb=0.7)) == 0


def test_time_is_operations_over_what_is_reached_of_the_stated_speed() -> None:
    found = estimate(SUBJECT, PLAN, (DEVICE,), steps=10)
    time = found.devices[0].time
    assert time.step_s is not None and time.total_s is not None
    assert time.step_s.low == pytest.approx(found.flops_per_step / (100e12 * 0.5))
    assert time.step_s.high == pytest.approx(found.flops_per_step / (100e12 * 0.4))
    assert time.total_s == time.step_s.times(10)
    assert time.is_efficiency_measured and time.bound_by == "operations"


def test_a_device_without_its_own_efficiency_gets_that_of_the_others() -> None:
    other = replace(DEVICE, efficiency=None)
    time = estimate(SUBJECT, PLAN, (other,)).devices[0].time
    assert time.efficiency is not None and not time.is_efficiency_measured
    assert (time.efficiency.low, time.efficiency.high) == catalogue().efficiency


def test_a_slow_memory_bounds_small_batches() -> None:
    slow = replace(DEVICE, bandwidth_gb_s=0.01)
    time = estimate(SUBJECT, PLAN, (slow,)).devices[0].time
    assert time.bound_by == "memory bandwidth"
    assert time.step_s is not None and time.step_s.low > 1


def test_energy_carbon_and_cost_follow_the_prices_given_and_only_those() -> None:
    prices = Prices(per_hour=3.6, carbon_g_per_kwh=100.0, pue=1.5)
    with_prices = estimate(SUBJECT, PLAN, (DEVICE,), steps=1000, prices=prices).devices[0].time
    total = with_prices.total_s
    assert total is not None and with_prices.energy_kwh is not None
    assert with_prices.energy_kwh.low == pytest.approx(total.low * 200 * 1.5 / 3.6e6)
    assert with_prices.carbon_g == with_prices.energy_kwh.times(100.0)
    assert with_prices.cost is not None
    assert with_prices.cost.high == pytest.approx(total.high * 3.6 / 3600)
    without = estimate(SUBJECT, PLAN, (DEVICE,)).devices[0].time
    assert without.cost is None and without.carbon_g is None


def test_what_is_not_stated_is_missing_and_not_guessed() -> None:
    unknown = replace(DEVICE, watts=None, tflops_32=None)
    time = estimate(SUBJECT, PLAN, (unknown,)).devices[0].time
    assert time.energy_kwh is None and "watts" in time.missing[0]
    wide = replace(PLAN, precision=Precision.FP32)
    time = estimate(SUBJECT, wide, (unknown,)).devices[0].time
    assert time.step_s is None and "no stated speed in fp32" in time.missing[0]


def test_each_suggestion_has_the_number_of_its_own_plan() -> None:
    plan = replace(PLAN, batch=64, precision=Precision.FP32)
    found = estimate(SUBJECT, plan, (DEVICE,))
    assert not found.devices[0].fits
    by_words = {one.words: one for one in found.suggestions}
    assert "checkpointing" in by_words and "LoRA of rank 8" in by_words
    for one in found.suggestions:
        assert one.memory == memory(WALKER, one.plan), one.words
    less = next(one for words, one in by_words.items() if words.startswith("batches of"))
    assert less.plan.batch * less.plan.accumulation >= plan.batch
    assert less.memory.total <= DEVICE.memory_bytes


def test_weights_that_never_fit_are_divided_among_as_few_devices_as_do() -> None:
    small = replace(DEVICE, memory_gb=0.68)
    found = estimate(SUBJECT, replace(PLAN, batch=1, seq=16), (small,))
    divided = [one for one in found.suggestions if "divided among" in one.words]
    assert "FSDP" in divided[-1].words and divided[-1].plan.gpus > 2
    for one in divided:
        assert fits(one.memory, small)
        half = one.plan.gpus // 2
        assert half < 2 or not fits(memory(WALKER, replace(one.plan, gpus=half)), small)
    roomy = estimate(SUBJECT, replace(PLAN, batch=1, seq=16), (replace(DEVICE, memory_gb=0.8),))
    kinds = {one.plan.sharding for one in roomy.suggestions if "divided among" in one.words}
    assert kinds == {Sharding.ZERO1, Sharding.ZERO2, Sharding.FSDP}


def test_nothing_is_suggested_where_it_fits() -> None:
    assert estimate(SUBJECT, replace(PLAN, method=Method.LORA), (DEVICE,)).suggestions == ()


@pytest.mark.parametrize("wrong", [{"pue": 0.5}, {"per_hour": -1.0}, {"watts": float("nan")}])
def test_a_price_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        Prices(**wrong)  # type: ignore[arg-type]


def test_tensors_are_gone_through_once_for_all_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of strangers have up to 100,000 of them, and a page asks for every device there is."""
    passes = []
    through = Walker._trained_shapes

    def counted(walker: Walker, plan: Plan) -> object:
        passes.append((plan.method, plan.rank))
        return through(walker, plan)

    monkeypatch.setattr(Walker, "_trained_shapes", counted)
    tight = replace(DEVICE, memory_gb=0.7)
    found = estimate(SUBJECT, PLAN, (tight, *catalogue().devices.values()))
    assert len(found.devices) > 20 and found.suggestions
    assert len(passes) == len(set(passes)) == 3  # in full, and as LoRA and QLoRA in suggestions


def test_memory_is_that_of_the_devices_asked_for() -> None:
    subject, plan, known = decoder(), Plan(batch=2), catalogue()
    here, there = known.find("cpu"), known.find("h100")
    on_cpu = memory(Walker(subject), replace(plan, on_cpu=True))
    assert estimate(subject, plan, (here,)).memory == on_cpu
    for devices in ((), (there,), (here, there)):
        assert estimate(subject, plan, devices).memory == memory(Walker(subject), plan) != on_cpu
