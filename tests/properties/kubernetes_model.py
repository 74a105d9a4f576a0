"""Kubernetes' rollout written a second time, straight from `rolling.go`, to compare with ours.

It follows the Go code line by line on lists of `[spec, available]`, oldest first, the last one
being the new ReplicaSet; one call is one sync.
"""


def sync(sets, replicas, surge, unavailable):
    """Take the writes of one sync; tell whether there were any."""
    return _reconcile_new(sets, replicas, surge) or _reconcile_old(sets, replicas, unavailable)


def _reconcile_new(sets, replicas, surge):
    new = sets[-1]
    if new[0] == replicas:
        return False
    if new[0] > replicas:
        new[0] = replicas
        new[1] = min(new[1], new[0])
        return True
    current_pod_count = sum(spec for spec, _ in sets)
    max_total = replicas + surge
    if current_pod_count >= max_total:
        return False
    new[0] += min(max_total - current_pod_count, replicas - new[0])
    return True


def _reconcile_old(sets, replicas, unavailable):
    olds, new = sets[:-1], sets[-1]
    if sum(spec for spec, _ in olds) == 0:
        return False
    min_available = replicas - min(unavailable, replicas)
    new_unavailable = new[0] - new[1]
    max_scaled_down = sum(spec for spec, _ in sets) - min_available - new_unavailable
    if max_scaled_down <= 0:
        return False
    cleaned = _cleanup_unhealthy(olds, max_scaled_down)
    scaled = _scale_down(olds, sum(available for _, available in sets) - min_available)
    return cleaned + scaled > 0


def _cleanup_unhealthy(olds, max_cleanup_count):
    total = 0
    for old in olds:
        if total >= max_cleanup_count:
            break
        if old[0] == 0 or old[0] == old[1]:
            continue
        count = min(max_cleanup_count - total, old[0] - old[1])
        old[0] -= count
        total += count
    return total


def _scale_down(olds, total_scale_down_count):
    total = 0
    if total_scale_down_count <= 0:
        return 0
    for old in olds:
        if total >= total_scale_down_count:
            break
        count = min(old[0], total_scale_down_count - total)
        old[0] -= count
        old[1] = min(old[1], old[0])
        total += count
    return total
