use super::*;

fn cluster() -> Policy {
    Policy { cluster: true, ..policy() }
}

#[test]
fn the_new_worker_comes_first_and_then_the_old_one_goes() {
    let mut story = Story::online(cluster());
    assert_eq!(story.reload(7), "spawn 2");
    assert_eq!(story.spawned(2), "online[launching]");
    assert_eq!((story.status(), story.view().pid), ("online", Some(101)));
    assert_eq!(story.ready(2), "stop 1 tree");
    assert_eq!((story.status(), story.view().pid), ("online", Some(102)));
    assert_eq!(story.exited(1, 0), "ended 1 _exit[stopping]");
    assert_eq!(story.tree_gone(1), "_exit[stopped] 7=done[online]");
    let view = story.view();
    assert_eq!((view.restart_time, view.pid, view.last_exit), (1, Some(102), None));
}

#[test]
fn a_worker_that_never_listens_is_taken_for_ready() {
    let mut story = Story::online(cluster());
    story.reload(7);
    story.spawned(2);
    assert_eq!(story.after(2999), "");
    assert_eq!(story.after(1), "stop 1 tree");
}

#[test]
fn with_wait_ready_the_event_comes_when_it_is_ready() {
    let mut story = Story::online(Policy { wait_ready: true, ..cluster() });
    story.ready(1);
    story.reload(7);
    assert_eq!(story.spawned(2), "");
    assert_eq!(story.ready(2), "online[launching] stop 1 tree");
}

#[test]
fn a_new_worker_that_dies_leaves_the_old_one_in_place() {
    let mut story = Story::online(cluster());
    let before = story.view();
    story.reload(7);
    story.spawned(2);
    assert_eq!(story.exited(2, 1), "ended 2 _exit[stopped] 7=ReloadFailed");
    assert_eq!(story.view(), before);
    assert_eq!(story.after(10_000), "");
}

#[test]
fn a_new_worker_that_cannot_be_spawned_leaves_the_old_one_in_place() {
    let mut story = Story::online(cluster());
    let before = story.view();
    story.reload(7);
    assert_eq!(story.spawn_failed(2), "7=ReloadFailed");
    assert_eq!(story.view(), before);
}

#[test]
fn the_old_worker_may_die_while_the_new_one_comes_up() {
    let mut story = Story::online(cluster());
    story.reload(7);
    assert_eq!(story.exited(1, 1), "ended 1 _exit[stopped]");
    assert_eq!(story.status(), "launching");
    assert_eq!(story.spawned(2), "online[launching] 7=done[online]");
    assert_eq!(story.view().restart_time, 1);

    let mut story = Story::online(cluster());
    story.reload(7);
    story.spawned(2);
    assert_eq!(story.exited(1, 1), "ended 1 _exit[stopped] 7=done[online]");
    assert_eq!(story.view().pid, Some(102));
}

#[test]
fn when_both_fail_the_policy_decides() {
    let mut story = Story::online(cluster());
    story.reload(7);
    story.exited(1, 1);
    assert_eq!(story.spawn_failed(2), "7=ReloadFailed");
    assert_eq!(story.status(), "waiting restart");
}

#[test]
fn a_second_reload_is_refused_until_the_old_worker_is_gone() {
    let mut story = Story::online(cluster());
    story.reload(7);
    assert_eq!(story.reload(8), "8=ReloadInProgress");
    story.spawned(2);
    story.ready(2);
    assert_eq!(story.reload(9), "9=ReloadInProgress");
    story.gone(1);
    assert_eq!(story.reload(10), "spawn 3");
}

#[test]
fn a_restart_waits_for_the_reload() {
    let mut story = Story::online(cluster());
    story.reload(7);
    assert_eq!(story.restart(8), "");
    story.spawned(2);
    story.ready(2);
    assert_eq!(story.gone(1), "ended 1 _exit[stopping] _exit[stopped] 7=done[online] stop 2 tree");
}

#[test]
fn a_stop_ends_both_workers() {
    let mut story = Story::online(cluster());
    story.reload(7);
    story.spawned(2);
    assert_eq!(story.stop(8), "7=Superseded stop 2 tree stop 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping]");
    assert_eq!(story.gone(2), "ended 2 _exit[stopping] _exit[stopped] exit[stopped] 8=done[stopped]");
}

#[test]
fn a_stop_ends_a_worker_that_is_only_being_spawned() {
    let mut story = Story::online(cluster());
    story.reload(7);
    assert_eq!(story.stop(8), "7=Superseded stop 1 tree");
    story.gone(1);
    assert_eq!(story.status(), "stopping");
    assert_eq!(story.spawned(2), "stop 2 tree");
    assert_eq!(story.gone(2), "ended 2 _exit[stopping] _exit[stopped] exit[stopped] 8=done[stopped]");
}

#[test]
fn the_exit_of_the_old_worker_is_no_crash_and_a_crash_of_the_new_one_is() {
    let mut story = Story::online(cluster());
    story.reload(7);
    story.spawned(2);
    story.ready(2);
    assert_eq!(story.exited(2, 1), "ended 2 exit[stopped] spawn 3");
    assert_eq!(story.spawned(3), "online[launching]");
    assert_eq!(story.gone(1), "ended 1 _exit[stopping] _exit[stopped] 7=done[online]");
    assert_eq!(story.view().restart_time, 2);
}

#[test]
fn what_is_not_a_cluster_worker_or_not_online_is_restarted() {
    let mut story = Story::online(policy());
    assert_eq!(story.reload(7), "stop 1 tree");

    // It became one by configuration, but the running process is none: two could not share the port.
    let mut story = Story::online(policy());
    story.on(Input::Configure { id: ID, policy: cluster() });
    assert_eq!(story.reload(7), "stop 1 tree");

    let mut story = Story::online(cluster());
    story.stop(6);
    story.gone(1);
    assert_eq!(story.reload(7), "spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 7=done[online]");
    assert_eq!(story.view().restart_time, 0);
}
