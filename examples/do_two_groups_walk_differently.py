"""Do two groups of animals walk differently? From 3D poses to strides, and from strides to a comparison.

Run it with `python examples/do_two_groups_walk_differently.py`. The animals are simulated, six of each group, so that
it takes a minute and the truth is known; poses of your own come from `pose3d.open_session(...).require("poses3d")`.
"""

import pandas as pd

from pose3d.kinematics import compare_groups, gait_events, strides
from pose3d.synthetic import SimulationSettings, simulate

tables = []
for number in range(12):
    group = "control" if number < 6 else "treated"
    # The treated ones keep their feet on the ground longer; all have strides of about 48 mm.
    duty_factor = 0.60 if group == "control" else 0.66
    scene = simulate(SimulationSettings(duration=4.0, cameras=2, seed=number, duty_factor=duty_factor))
    events = gait_events(scene.poses3d, scene.skeleton)
    found = strides(scene.poses3d, events, scene.skeleton)
    table = found[["duty_factor", "stride_length", "stride_duration"]].to_dataframe()
    tables.append(table.assign(group=group, animal=f"mouse_{number}"))
every = pd.concat(tables, ignore_index=True)

# The strides of one animal are not independent of each other: animals are what is compared.
result = compare_groups(every, groups="group", individuals="animal")
columns = ["variable", "n_a", "n_b", "rows_a", "rows_b", "difference", "low", "high", "hedges_g", "p_corrected"]
print(result[columns].round(4).to_string(index=False))
