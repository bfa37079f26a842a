import pytest

from local_model.cuda_pass import bucket_sizes


@pytest.mark.parametrize(("images_max", "sizes"), [(1, [1]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12]), (32, [1, 2, 4, 8, 16, 32])])
def test_every_batch_has_a_graph_of_at_most_twice_its_size(images_max, sizes):
    """The pass itself needs a GPU, and none has been at hand: what needs none is tested here."""
    assert bucket_sizes(images_max) == sizes
    for images in range(1, images_max + 1):
        assert next(size for size in sizes if size >= images) < 2 * images
