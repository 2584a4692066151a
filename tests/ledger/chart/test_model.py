"""Where nodes stand in their tree, and what totals come to."""

from florin.ledger.chart.model import Total, depths
from florin.ledger.model import Direction


def test_the_depth_of_a_node_is_the_number_of_nodes_above_it_and_not_of_its_segments() -> None:
    assert depths(["a", "a:b:c", "a:b:c:d", "a:x", "a-b", "b:c"]) == [0, 1, 2, 1, 0, 0]
    assert depths([]) == []


def test_a_total_is_positive_on_its_side() -> None:
    total = Total("USD", 300, 1000, 2)
    assert (total.net_minor(Direction.CREDIT), total.net_minor(Direction.DEBIT)) == (700, -700)
