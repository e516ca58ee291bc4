//! Who writes line by line is not read line by line.

use std::os::fd::AsFd;
use std::time::Instant;

use super::*;
use crate::sys::pipe::{LARGE, readable_bytes, set_capacity};

#[test]
fn small_writes_gather_and_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        let mut client = Client::connect(&logs.shared.bus).await;
        let (out, mut out_writer) = io::pipe().unwrap();
        let (err, err_writer) = io::pipe().unwrap();
        if set_capacity(out.as_fd(), LARGE).unwrap() < LARGE {
            eprintln!("skipped: no large pipe is left for this user");
            return;
        }
        let look = out.try_clone().unwrap();
        let app = logs.attach(RunId(1), plain(folder.path()), out.into(), err.into()).unwrap();
        drop(err_writer);
        let start = Instant::now();
        let writer = thread::spawn(move || {
            for number in 0..2000 {
                out_writer.write_all(format!("{number}\n").as_bytes()).unwrap();
                // Who reads at once has read by then.
                let asked = Instant::now();
                while readable_bytes(look.as_fd()).unwrap() > 0 && asked.elapsed() < Duration::from_micros(200) {
                    std::hint::spin_loop();
                }
            }
        });
        let (mut text, mut events) = (String::new(), 0);
        while !text.ends_with("\n1999\n") {
            let (topic, event) = client.next().await.unwrap();
            if topic == "log:out" {
                text.push_str(event["data"].as_str().unwrap());
                events += 1;
            }
        }
        let elapsed = start.elapsed().as_millis();
        writer.join().unwrap();
        ended(&app).await;
        let expected = (0..2000).map(|number| format!("{number}\n")).collect::<Vec<_>>().concat();
        assert!(text == expected && read(folder.path().join("out.log")) == expected.as_bytes());
        // One in each millisecond, and one more after each pause.
        assert!(events <= 2 * elapsed + 10, "{events} pieces in {elapsed} ms");
    });
}

#[test]
fn the_end_of_the_process_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let logs = room(folder.path());
        for round in 0..50 {
            let (app, mut out, _err) = start(&logs, round, plain(folder.path()));
            for _ in 0..5 {
                out.write_all(b"line\n").unwrap();
                tokio::task::yield_now().await;
            }
            app.drained().await;
            assert_eq!(read(folder.path().join("out.log")).len(), 25 * (usize::try_from(round).unwrap() + 1));
        }
    });
}
