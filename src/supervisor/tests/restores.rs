use super::*;

#[test]
fn what_is_online_stays_online() {
    let mut story = Story::online(policy());
    let before = story.view();
    assert_eq!(story.killed_and_restored(&[1]), "");
    assert_eq!(story.view(), before);
    assert_eq!(story.spawned(1), "");
}

#[test]
fn a_spawn_that_was_never_carried_out_is_asked_for_again_under_a_new_number() {
    let mut story = Story::registered(policy());
    assert_eq!(story.killed_and_restored(&[]), "spawn 2");
    assert_eq!(story.spawned(1), "kill 1 tree");
    assert_eq!(story.spawned(2), "online[launching] start[online]");
}

#[test]
fn a_spawn_that_was_carried_out_meanwhile_is_taken_up() {
    let mut story = Story::registered(policy());
    assert_eq!(story.killed_and_restored(&[1]), "online[launching] start[online]");
}

#[test]
fn an_end_that_nobody_saw_is_a_crash() {
    let mut story = Story::online(policy());
    assert_eq!(story.killed_and_restored(&[]), "ended 1 exit[stopped] spawn 2");
    assert_eq!(story.view().last_exit, Some(Exit::Signal(9)));
}

#[test]
fn a_stop_goes_on_with_the_time_that_is_left() {
    let mut story = Story::online(policy());
    story.stop(7);
    story.sleep(1000);
    assert_eq!(story.killed_and_restored(&[1]), "stop 1 tree");
    assert_eq!(story.after(599), "");
    assert_eq!(story.after(1), "kill 1 tree");
    assert_eq!(story.killed_and_restored(&[1]), "kill 1 tree");
    assert_eq!(story.killed_and_restored(&[]), "ended 1 exit[stopping] exit[stopped]");
}

#[test]
fn a_restart_that_was_under_way_is_finished_without_an_answer() {
    let mut story = Story::online(policy());
    story.restart(7);
    story.restart(8);
    story.exited(1, 0);
    assert_eq!(story.killed_and_restored(&[]), "exit[stopped] spawn 2");
    assert_eq!(story.spawned(2), "online[launching] stop 2 tree");
    assert_eq!(story.gone(2), "ended 2 exit[stopping] exit[stopped] spawn 3");
    assert_eq!(story.spawned(3), "online[launching]");
    assert_eq!(story.view().restart_time, 2);
}

#[test]
fn a_reload_goes_on() {
    let policy = Policy { cluster: true, ..policy() };
    let mut story = Story::online(policy.clone());
    story.reload(7);
    assert_eq!(story.killed_and_restored(&[1]), "spawn 3");
    story.spawned(3);
    assert_eq!(story.killed_and_restored(&[1, 3]), "");
    assert_eq!(story.ready(3), "stop 1 tree");
    assert_eq!(story.killed_and_restored(&[1, 3]), "stop 1 tree");
    assert_eq!(story.killed_and_restored(&[3]), "ended 1 _exit[stopping] _exit[stopped]");
    assert_eq!((story.status(), story.view().pid), ("online", Some(103)));
}

#[test]
fn a_reload_whose_both_workers_are_gone_is_a_crash() {
    let mut story = Story::online(Policy { cluster: true, ..policy() });
    story.reload(7);
    story.spawned(2);
    let told = story.killed_and_restored(&[]);
    assert_eq!(told, "ended 1 _exit[stopped] ended 2 exit[stopped] spawn 3");
}

#[test]
fn a_waiting_restart_keeps_its_time() {
    let mut story = Story::online(Policy { restart_delay: 300, ..policy() });
    story.exited(1, 1);
    story.sleep(200);
    assert_eq!(story.killed_and_restored(&[]), "");
    assert_eq!(story.after(100), "spawn 2");
}

#[test]
fn run_numbers_go_on_above_those_in_the_journal() {
    let mut story = Story::online(policy());
    let slot = story.supervisor.slot(ID).unwrap().clone();
    let mut next = Supervisor::new(1);
    next.restore(ID, slot);
    assert_eq!((next.next_run(), next.next_id()), (2, PmId(1)));
    story.supervisor = next;
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped] spawn 2");
}

#[test]
fn the_whole_table_survives_as_text_but_for_the_tickets() {
    let mut story = Story::online(policy());
    story.stop(7);
    let text = serde_json::to_string(&story.supervisor).unwrap();
    story.supervisor = serde_json::from_str(&text).unwrap();
    assert_eq!(story.after(1600), "kill 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped]");
}

#[test]
fn what_this_daemon_did_itself_before_it_went_on_is_not_done_again() {
    let mut story = Story::online(policy());
    let text = serde_json::to_string(story.supervisor.slot(ID).unwrap()).unwrap();
    story.supervisor = Supervisor::new(2);
    story.supervisor.restore(ID, serde_json::from_str(&text).unwrap());
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped] spawn 2");
    assert_eq!(words(&story.supervisor.after_restore(story.now, &|_| None)), "");
}

#[test]
fn what_was_due_is_due_as_soon_as_the_slot_is_back() {
    let mut story = Story::online(Policy { restart_delay: 300, ..policy() });
    story.exited(1, 1);
    let (due, slot) = (story.supervisor.deadline(), story.supervisor.slot(ID).unwrap().clone());
    story.supervisor = Supervisor::new(2);
    story.supervisor.restore(ID, slot);
    assert_eq!(story.supervisor.deadline(), due);
}
