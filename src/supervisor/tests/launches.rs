use super::*;

#[test]
fn a_start_is_answered_when_the_process_is_up() {
    let mut story = Story::empty();
    let register = Input::Register { id: ID, policy: policy(), start: true, ticket: Some(Ticket(7)) };
    assert_eq!(story.on(register), "spawn 1");
    assert_eq!(story.status(), "launching");
    assert_eq!(story.spawned(1), "online[launching] start[online] 7=done[online]");
    let view = story.view();
    assert_eq!((view.pid, view.run, view.started_at), (Some(101), Some(RunId(1)), Some(1_000_000)));
}

#[test]
fn what_is_added_without_a_start_is_stopped() {
    let mut story = Story::empty();
    let register = Input::Register { id: ID, policy: policy(), start: false, ticket: Some(Ticket(7)) };
    assert_eq!(story.on(register), "start[stopped] 7=done[stopped]");
    // Q41: an explicit start starts it.
    assert_eq!(story.start(8), "spawn 1");
    assert_eq!(story.spawned(1), "online[launching] 8=done[online]");
}

#[test]
fn with_wait_ready_it_is_online_when_it_says_so() {
    let mut story = Story::registered(Policy { wait_ready: true, ..policy() });
    assert_eq!(story.spawned(1), "");
    assert_eq!(story.status(), "launching");
    assert_eq!(story.ready(1), "online[launching] start[online]");
    assert_eq!(story.ready(1), "");
}

#[test]
fn with_wait_ready_the_time_limit_counts_as_ready() {
    let mut story = Story::registered(Policy { wait_ready: true, ..policy() });
    story.spawned(1);
    assert_eq!(story.after(2999), "");
    assert_eq!(story.after(1), "online[launching] start[online]");
}

#[test]
fn with_ready_timeout_error_the_time_limit_is_a_failed_start() {
    let mut story = Story::empty();
    let policy = Policy { wait_ready: true, ready_required: true, ..policy() };
    story.on(Input::Register { id: ID, policy, start: true, ticket: Some(Ticket(7)) });
    story.spawned(1);
    assert_eq!(story.after(2999), "");
    assert_eq!(story.after(1), "stop 1 tree");
    assert_eq!(story.status(), "stopping");
    story.tree_gone(1);
    assert_eq!(story.exited(1, 0), "ended 1 exit[stopping] exit[errored] 7=SpawnFailed");
    assert_eq!(story.status(), "errored");
}

#[test]
fn a_crash_restart_that_is_not_ready_in_time_is_tried_again() {
    let mut story = Story::registered(Policy { wait_ready: true, ready_required: true, ..policy() });
    story.spawned(1);
    story.ready(1);
    story.sleep(60_000);
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped] spawn 2");
    story.spawned(2);
    assert_eq!(story.after(3000), "stop 2 tree");
    story.tree_gone(2);
    assert_eq!(story.exited(2, 0), "ended 2 exit[stopping] exit[stopped]");
    assert_eq!(story.status(), "waiting restart");
    assert_eq!(story.view().unstable_restarts, 1);
}

#[test]
fn a_reload_whose_new_worker_is_not_ready_in_time_keeps_the_old_one() {
    let policy = Policy { cluster: true, wait_ready: true, ready_required: true, ..policy() };
    let mut story = Story::registered(policy);
    story.spawned(1);
    story.ready(1);
    assert_eq!(story.reload(8), "spawn 2");
    story.spawned(2);
    assert_eq!(story.after(3000), "stop 2 tree 8=ReloadFailed");
    assert_eq!(story.view().run, Some(RunId(1)));
    assert_eq!(story.status(), "online");
}

#[test]
fn an_earlier_process_that_says_ready_is_not_heard() {
    let mut story = Story::online(Policy { wait_ready: true, ..policy() });
    story.ready(1);
    story.exited(1, 1);
    story.spawned(2);
    assert_eq!(story.ready(1), "");
    assert_eq!(story.status(), "launching");
}

#[test]
fn a_crash_before_ready_is_an_exit_like_any_other_and_the_answer_shows_it() {
    let mut story = Story::empty();
    let policy = Policy { wait_ready: true, restart_delay: 50, ..policy() };
    story.on(Input::Register { id: ID, policy, start: true, ticket: Some(Ticket(7)) });
    story.spawned(1);
    let told = story.exited(1, 1);
    assert_eq!(told, "online[launching] start[launching] ended 1 exit[stopped] 7=done[waiting restart]");
}

#[test]
fn a_spawn_that_fails_is_told_and_leaves_it_errored() {
    let mut story = Story::empty();
    story.on(Input::Register { id: ID, policy: policy(), start: true, ticket: Some(Ticket(7)) });
    assert_eq!(story.spawn_failed(1), "7=SpawnFailed");
    assert_eq!(story.status(), "errored");
    assert_eq!(story.start(8), "spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 8=done[online]");
}

#[test]
fn an_automatic_restart_that_fails_to_spawn_is_tried_again_and_at_last_given_up() {
    let mut story = Story::online(policy());
    story.sleep(60_000);
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped] spawn 2");
    for run in 2..17 {
        assert_eq!(story.spawn_failed(run), "");
        assert_eq!(story.status(), "waiting restart");
        story.now.mono = story.supervisor.deadline().unwrap();
        assert_eq!(story.on(Input::Tick), format!("spawn {}", run + 1));
    }
    assert_eq!(story.spawn_failed(17), "restart overlimit[errored]");
    assert_eq!(story.status(), "errored");
}

#[test]
fn starting_what_is_online_is_refused() {
    let mut story = Story::online(policy());
    assert_eq!(story.start(7), "7=AlreadyOnline");
}

#[test]
fn news_of_earlier_runs_is_ignored_and_unknown_processes_are_killed() {
    let mut story = Story::online(policy());
    story.exited(1, 1);
    story.spawned(2);
    assert_eq!(story.exited(1, 1), "");
    assert_eq!(story.ready(1), "");
    assert_eq!(story.spawn_failed(1), "");
    assert_eq!(story.tree_gone(1), "");
    assert_eq!(story.spawned(2), "");
    assert_eq!(story.spawned(1), "kill 1 tree");
    assert_eq!(story.on(Input::Spawned { id: PmId(9), run: RunId(5), pid: 1 }), "kill 5 tree");
    assert_eq!(story.status(), "online");
}

#[test]
fn ids_start_again_when_the_table_is_empty() {
    let mut story = Story::online(policy());
    story.on(Input::Register { id: PmId(1), policy: policy(), start: false, ticket: None });
    assert_eq!(story.supervisor.next_id(), PmId(2));
    story.on(Input::Command { id: PmId(1), verb: Verb::Delete, ticket: None });
    assert_eq!(story.supervisor.next_id(), PmId(2));
    story.delete(7);
    story.gone(1);
    assert_eq!(story.supervisor.next_id(), PmId(0));
}

#[test]
fn a_command_for_nobody_is_refused() {
    assert_eq!(Story::empty().stop(7), "7=UnknownId");
}
