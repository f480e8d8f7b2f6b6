"""Properties run on machines that others use too: an example has no time limit of its own."""

from hypothesis import settings

settings.register_profile("bank", deadline=None)
settings.load_profile("bank")
