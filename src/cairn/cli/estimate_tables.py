"""An estimate and the catalogue of devices as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from cairn.cli.console import human_bytes, out, visible

Told = Mapping[str, Any]
_PART_WORDS = {
    "communication": "buckets of gradients to send",
    "overhead": "framework (assumed)",
}
_PICTURES = ("vit", "yolo", "yolos", "deit", "resnet", "stable-diffusion", "unet", "rl-policy")
_WAVES = ("wav2vec2", "hubert")
_HERTZ = 16_000
_SECONDS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3))


def print_estimate(label: str, told: Told) -> None:
    """Memory by part, operations, a row for each device, and what helps."""
    console = out()
    model, memory, plan = told["model"], told["memory"], told["plan"]
    console.print(
        f"[bold]{visible(label)}[/bold] {visible(model['family'] or 'unknown family')},"
        f" {model['parameters']:,} parameters [dim](declared: {visible(model['evidence'])})[/dim]"
    )
    console.print(
        f"{plan['method']}, {told['trained_parameters']['count']:,} trained, batch {plan['batch']},"
        f"{_length(model['family'], plan['seq'])} {plan['precision']}, {plan['optimizer']}"
    )
    if model["positions"] and plan["seq"] > model["positions"]:
        console.print(
            f"[yellow]note[/yellow] its positions end at {model['positions']:,} tokens: a longer"
            " sample does not go in, unless it gets more"
        )
    console.print(f"memory {human_bytes(memory['total_bytes'])} {memory['moment']} (estimated):")
    for part, size in memory["parts"].items():
        if size:
            console.print(f"  {human_bytes(size):>9}  {_PART_WORDS.get(part, part)}")
    console.print(f"{told['flops_per_step']['count']:.3g} operations a step (estimated)")
    if "exact" in told:
        _print_exact(told["exact"])
    if told["devices"]:
        _print_rows(told)
    for one in told["suggestions"]:
        fits = " [green]fits[/green]" if one["fits"] else ""
        console.print(
            f"  {human_bytes(one['memory_bytes']):>9}  with {visible(one['change'])}{fits}"
        )
    if told["devices"]:
        console.print(
            f"[dim]time: {told['formulas']['time']}. Efficiency: {told['efficiency_source']}.[/dim]"
        )


def _length(family: str, seq: int) -> str:
    """How long a sample is; of a model of images the plan's length means nothing."""
    if family in _PICTURES:
        return ""
    if family in _WAVES:
        return f" {seq:,} samples of sound ({seq / _HERTZ:.3g} s),"
    return f" {seq:,} tokens,"


def _print_exact(told: Told) -> None:
    console = out()
    console.print(
        f"exact: {human_bytes(told['peak_bytes'])} of tensors, {told['flops_per_step']:.3g}"
        " operations a step (measured on tensors without memory):"
    )
    for part, size in told["parts"].items():
        if size:
            console.print(f"  {human_bytes(size):>9}  {part}")
    whole = told["peak_bytes"] + told["process_bytes"]
    console.print(f"  {human_bytes(whole):>9}  a process on this CPU, libraries included")


def _print_rows(told: Told) -> None:
    from rich.table import Table

    console = out()
    steps = told["steps"]
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("device")
    for heading in ("of memory", "largest batch", "a step"):
        table.add_column(heading, justify="right")
    currency = told["prices"]["currency"]
    columns = {
        "total_s": (f"{steps:,} steps", _times),
        "energy_kwh": ("kWh", _numbers),
        "carbon_g": ("kg CO2", lambda grams: _numbers(grams, 1e-3)),
        "cost": (f"cost {visible(currency)}".rstrip(), _numbers),
    }
    # One step is no run: what it draws is no number that anybody asks for.
    shown = [key for key in columns if steps > 1 and any(r["time"][key] for r in told["devices"])]
    for key in shown:
        table.add_column(columns[key][0], justify="right")
    table.add_column("")
    for row in told["devices"]:
        time = row["time"]
        share = f"{100 * row['share_of_memory']:.0f} %"
        table.add_row(
            visible(row["device"]["name"]),
            f"[green]{share}[/green]" if row["fits"] else f"[red]{share}[/red]",
            f"{row['largest_batch']:,}",
            _times(time["step_s"]),
            *(columns[key][1](time[key]) for key in shown),
            "" if row["device"]["checked"] else "[dim]figures not checked[/dim]",
        )
    console.print(table)
    missing = {words for row in told["devices"] for words in row["time"]["missing"]}
    for words in sorted(missing) if len(told["devices"]) == 1 else ():
        console.print(f"[dim]{visible(words)}[/dim]")
    if any(not row["fits"] for row in told["devices"]) and told["suggestions"]:
        console.print(f"for {visible(told['devices'][0]['device']['name'])} (estimated):")


def print_devices(told: Sequence[Told], efficiency: str) -> None:
    """The catalogue: what is stated of each device, and where."""
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("device")
    table.add_column("", overflow="fold")
    for heading in ("16-bit TFLOP/s", "fp32", "GB", "GB/s", "watts"):
        table.add_column(heading, justify="right")
    table.add_column("source", overflow="fold")
    for one in told:
        figures = ("tflops_16", "tflops_32", "memory_gb", "bandwidth_gb_s", "watts")
        source = visible(one["source"])
        table.add_row(
            one["name"],
            one["title"],
            *(_figure(one, key) for key in figures),
            source if one["checked"] else f"[yellow]not checked[/yellow]: {source}",
        )
    console = out()
    console.print(table)
    console.print(f"[dim]~ recalled, not read. Efficiency: {efficiency}.[/dim]")


def _figure(one: Told, key: str) -> str:
    if one[key] is None:
        return ""
    return f"{one[key]:g}" if key in one["read"] else f"~{one[key]:g}"


def _times(found: Sequence[float] | None) -> str:
    if found is None:
        return ""
    for unit, seconds in _SECONDS:
        if found[1] >= seconds or unit == "ms":
            return f"{found[0] / seconds:.3g}-{found[1] / seconds:.3g} {unit}"
    return ""


def _numbers(found: Sequence[float] | None, factor: float = 1.0) -> str:
    return "" if found is None else f"{found[0] * factor:.3g}-{found[1] * factor:.3g}"
