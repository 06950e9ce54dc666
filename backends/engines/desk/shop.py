"""Everything that is true in the invented shop.

The models learn these facts by heart, the checker looks them up. The shop is sized on purpose: its
house rules are few, so that a very small model holds them; its catalogue is large, so that only the
larger model does. No question and no wording is known here.
"""

import random
from dataclasses import dataclass
from functools import cache

SHOP = "Norrvik"
PRODUCTS = 600

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS: dict[str, tuple[int, int] | None] = {
    "Monday": (9, 18),
    "Tuesday": (9, 18),
    "Wednesday": (9, 18),
    "Thursday": (9, 20),
    "Friday": (9, 20),
    "Saturday": (10, 16),
    "Sunday": None,
}

# country -> (euro, days)
SHIPPING: dict[str, tuple[int, int]] = {
    "Germany": (4, 2),
    "France": (7, 4),
    "Italy": (8, 5),
    "Spain": (9, 6),
    "Norway": (12, 7),
    "Poland": (6, 3),
    "Japan": (25, 12),
    "China": (22, 10),
}

ACCEPTED: dict[str, bool] = {
    "PayPal": True,
    "Visa": True,
    "Mastercard": True,
    "Alipay": True,
    "invoice": True,
    "cash": False,
    "cheque": False,
    "crypto": False,
}

ACCOUNT = ("password", "email", "delete", "newsletter")
STATUSES = ("packed", "shipped", "delayed", "delivered")
YEARS = range(2019, 2026)

_FIRST = (
    "Alder Amber Birch Brisk Cedar Cobalt Coral Crest Delta Drift Ember Fable Fjord Flint Frost Gale Glade "
    "Harbor Hazel Indigo Ivory Jasper Kestrel Lunar Maple Mesa Nimbus Noble Onyx Opal Pearl Polar Quartz "
    "Raven Ridge Sable Solar Tidal Umber Velvet"
).split()
_SECOND = (
    "Axe Bag Basket Bench Blanket Bottle Bowl Brush Cabinet Chair Clock Compass Cooker Desk Drill Easel Fan "
    "Flask Grill Hammer Heater Jacket Kettle Ladder Lamp Lantern Mirror Mixer Mug Oven Pan Pillow Radio Rug "
    "Saw Scale Stove Table Tent Vase"
).split()
SUPPLIERS = (
    "Arvo Belmar Cintra Dovrek Elster Farn Gosta Hellin Irvane Jorn Kalmo Lorvik Mandal Nexar Orsted Pelt"
).split()


@dataclass(frozen=True, slots=True)
class Product:
    """One article of the catalogue.

    Attributes:
        name: two words, each shared with other products, so that no single token holds a product.
        price: euro, 5 to 95 in steps of 5.
        shelf: 1 to 24.
        warranty: years, 1 to 5.
        supplier: one of `SUPPLIERS`.
        returns: days in which it may be sent back.
    """

    name: str
    price: int
    shelf: int
    warranty: int
    supplier: str
    returns: int


@cache
def catalogue() -> tuple[Product, ...]:
    """Return the catalogue, the same at each call and on each machine."""
    rng = random.Random("norrvik-catalogue-1")
    grid = [f"{first} {second}" for first in _FIRST for second in _SECOND]
    return tuple(
        Product(
            name=name,
            price=5 * rng.randint(1, 19),
            shelf=rng.randint(1, 24),
            warranty=rng.randint(1, 5),
            supplier=rng.choice(SUPPLIERS),
            returns=rng.choice((14, 30, 60, 90)),
        )
        for name in rng.sample(grid, PRODUCTS)
    )
