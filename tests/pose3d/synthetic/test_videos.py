"""Videos of the animals, and labels of them: frame n of every camera shows row n of the truth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from calibration.errors import InvalidValueError
from calibration.video import open_video, read_image
from pose3d.labeling import LabelStore
from pose3d.labeling.labels import Visibility
from pose3d.synthetic import Scene
from pose3d.synthetic.labels import instants_to_label, labels_of_scene, write_label_images
from pose3d.synthetic.pixel_truth import true_poses2d, true_visibility
from pose3d.synthetic.rendering import PictureSettings
from pose3d.synthetic.videos import pictures, write_animal_videos


@pytest.fixture(scope="module")
def folder(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    done: list[tuple[int, int]] = []
    files = write_animal_videos(scene, folder / "videos", on_progress=lambda *count: done.append(count))
    assert [file.name for file in files] == ["cam_1.mp4", "cam_2.mp4", "cam_3.mp4"]
    assert done == [(index + 1, 60) for index in range(60)]
    return folder


def test_videos_are_h264_with_one_frame_per_row_at_a_constant_rate(scene: Scene, folder: Path) -> None:
    for name in scene.rig.names:
        with av.open(str(folder / "videos" / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == 50
            times = sorted(Fraction(packet.pts) * packet.time_base for packet in container.demux(stream) if packet.size)
        assert times == [Fraction(index, 50) for index in range(20)]


def test_every_frame_shows_its_own_instant(scene: Scene, folder: Path) -> None:
    """Without noise, a decoded frame is most like the picture of its own row."""
    plain = PictureSettings(noise=0.0)
    with open_video(folder / "videos" / "cam_2.mp4") as video:
        decoded = np.stack([frame.image for frame in video.frames()]).astype(float)
    rendered = np.stack(list(pictures(scene, "cam_2", plain))).astype(float)
    moving = rendered.std(axis=0).max(axis=-1) > 5
    assert moving.sum() > 100
    error = ((decoded[:, None, moving] - rendered[None, :, moving]) ** 2).mean(axis=(-1, -2))
    np.testing.assert_array_equal(error.argmin(axis=1), np.arange(20))


def test_a_part_of_the_frames_is_the_same_as_in_the_whole(scene: Scene) -> None:
    whole = list(pictures(scene, "cam_1"))
    np.testing.assert_array_equal(np.stack(list(pictures(scene, "cam_1", frames=range(5, 7)))), np.stack(whole[5:7]))


def test_workers_do_not_change_the_files(scene: Scene, folder: Path, tmp_path: Path) -> None:
    for file in write_animal_videos(scene, tmp_path, workers=1):
        assert file.read_bytes() == (folder / "videos" / file.name).read_bytes()


def test_an_error_leaves_no_half_video(scene: Scene, tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_animal_videos(scene, tmp_path, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_labels_are_the_truth(scene: Scene, folder: Path) -> None:
    videos = {name: f"videos/{name}.mp4" for name in scene.rig.names}
    labels = labels_of_scene(scene, 4, videos=videos, root=folder)
    assert len(labels) == 12
    assert labels.skeleton == scene.skeleton
    truth, seen = true_poses2d(scene)["position"], true_visibility(scene)
    for row, frame in enumerate(labels.frames):
        where = {"time": frame.frame}
        np.testing.assert_array_equal(labels.visibility[row], seen.isel(where).sel(camera=frame.camera))
        inside = labels.visibility[row] != Visibility.ABSENT
        np.testing.assert_array_equal(
            labels.position[row][inside], truth.isel(where).sel(camera=frame.camera).values[inside]
        )
        assert np.isnan(labels.position[row][~inside]).all()
    instants = {name: [frame.frame for frame in labels.frames if frame.camera == name] for name in videos}
    assert len({tuple(each) for each in instants.values()}) == 1


def test_images_of_labels_are_frames_of_the_videos_and_a_store_takes_them(scene: Scene, folder: Path) -> None:
    videos = {name: f"videos/{name}.mp4" for name in scene.rig.names}
    labels = labels_of_scene(scene, 2, videos=videos, root=folder)
    files = write_label_images(labels)
    assert sorted(files) == sorted(labels.image_paths)
    for frame in labels.frames:
        with open_video(folder / frame.video) as video:
            np.testing.assert_array_equal(read_image(folder / frame.image), video.read(frame.frame).image)
    with LabelStore.create(folder / "labels.sqlite", scene.skeleton, author="truth") as store:
        store.import_labels(labels)
        again = store.labels()
    assert again.frames == labels.frames
    np.testing.assert_array_equal(again.position, labels.position)
    np.testing.assert_array_equal(again.visibility, labels.visibility)


def test_instants_are_spread_over_the_recording() -> None:
    instants = instants_to_label(1000, 10, seed=1)
    assert (instants // 100).tolist() == list(range(10))
    assert instants.tolist() == instants_to_label(1000, 10, seed=1).tolist()
    assert instants.tolist() != instants_to_label(1000, 10, seed=2).tolist()
    assert instants_to_label(7, 7, seed=0).tolist() == list(range(7))


@pytest.mark.parametrize("count", [0, 21])
def test_more_labels_than_frames_are_refused(scene: Scene, count: int) -> None:
    with pytest.raises(InvalidValueError, match="1 to 20 frames"):
        labels_of_scene(scene, count, videos={})
