"""Who is who: across the parts of an animal, across views and across time."""
