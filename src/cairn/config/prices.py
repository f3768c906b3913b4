"""What the people of this installation pay for computing: for estimates, and nothing else."""

from pydantic import Field
from pydantic_settings import BaseSettings


class PriceSettings(BaseSettings):
    """Prices that estimates reckon with; there are no usual ones, so all are unset."""

    price_per_hour: float | None = Field(
        default=None,
        ge=0,
        description="What one device costs for an hour, in `currency`: estimates show costs then"
        " (docs/estimate.md).",
    )
    currency: str = Field(
        default="", max_length=12, description="What stands behind costs in estimates: EUR, USD."
    )
    carbon_intensity: float | None = Field(
        default=None,
        ge=0,
        description="Grams of CO2 for a kWh where computing is done: estimates show CO2 then.",
    )
    pue: float = Field(
        default=1.0,
        ge=1,
        le=10,
        description="Energy of the data centre over that of its machines, for estimates.",
    )
