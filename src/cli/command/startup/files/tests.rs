use super::*;

fn service() -> Service {
    Service {
        name: "pm2-deploy".into(),
        user: "root".into(),
        user_home: "/home/deploy".into(),
        home: "/home/my deploy/.pm2".into(),
        path: "/usr/bin:/opt/50%/bin".into(),
        // Anything that exists: systemd-analyze looks for it.
        program: "/bin/sh".into(),
        agent: "/opt/pm2-rs/lib/agent".into(),
        wait_ip: true,
        of_user: false,
        now: false,
    }
}

#[test]
fn the_unit_follows_the_keeper_and_escapes_what_systemd_would_read() {
    let unit = systemd(&service());
    for line in [
        "Type=forking",
        "PIDFile=/home/my deploy/.pm2/pm2.pid",
        "Environment=\"PM2_HOME=/home/my deploy/.pm2\"",
        "Environment=\"PATH=/usr/bin:/opt/50%%/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\"",
        "ExecStart=/bin/sh cli resurrect",
        "After=network-online.target",
        "Wants=network-online.target",
        "Restart=on-failure",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} in\n{unit}");
    }
}

#[test]
fn systemd_accepts_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pm2-deploy.service");
    for service in [service(), nvm(), Service { of_user: true, ..service() }] {
        std::fs::write(&file, systemd(&service)).expect("written");
        let verify = std::process::Command::new("systemd-analyze").arg("verify").arg(&file).output();
        // Where there is no systemd, nobody can say.
        let Ok(output) = verify else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("pm2-deploy")).collect();
        assert!(output.status.success() && about_it.is_empty(), "{said}");
    }
}

#[test]
fn the_openrc_script_is_a_script() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pm2");
    let text = openrc(&service());
    std::fs::write(&file, &text).expect("written");
    let output = std::process::Command::new("sh").arg("-n").arg(&file).output().expect("sh runs");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}
fn nvm() -> Service {
    let inside = "lib/node_modules/pm2-rs/node_modules/@pm2-rs/native-linux-x64-gnu/pm2d";
    Service { program: format!("/home/deploy/.nvm/versions/node/v20.1.0/{inside}").into(), ..service() }
}

#[test]
fn every_script_is_a_script() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pm2");
    for service in [service(), nvm()] {
        for init in [Init::Upstart, Init::Systemv, Init::Openrc, Init::Rcd, Init::RcdOpenbsd] {
            let text = content(&service, init);
            std::fs::write(&file, &text).expect("written");
            let output = std::process::Command::new("sh").arg("-n").arg(&file).output().expect("sh runs");
            assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
            assert!(text.contains("resurrect") && text.contains("/home/my deploy/.pm2"), "{text}");
        }
    }
}

/// As systemd does it after its own unquoting: the words of `ExecStart`, run for real.
#[test]
fn a_boot_finds_the_executable_of_another_node() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("my nvm/versions/node");
    let inside = "lib/node_modules/pm2-rs/pm2d";
    let put = |file: std::path::PathBuf, text: &str| {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    };
    put(root.join("v22.0.0").join(inside), "#!/bin/sh\necho found \"$@\"; command -v node");
    put(root.join("v22.0.0/bin/node"), "#!/bin/sh\n");
    // Version 20 was there when `startup` was run.
    let service = Service { program: root.join("v20.1.0").join(inside), ..service() };
    let words = command(&service, "reload all");
    let run =
        std::process::Command::new(&words[0]).args(&words[1..]).env("PATH", "/nowhere").output().expect("sh runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let node = root.join("v22.0.0/bin/node");
    assert_eq!(said, format!("found cli reload all\n{}\n", node.display()), "{}", String::from_utf8_lossy(&run.stderr));
    let plain = Service { program: "/usr/lib/pm2d".into(), ..service };
    assert_eq!(command(&plain, "kill"), ["/usr/lib/pm2d", "cli", "kill"]);
}

#[test]
fn a_unit_of_the_users_own_needs_no_root() {
    let unit = systemd(&Service { of_user: true, ..service() });
    assert!(!unit.contains("User=") && unit.contains("WantedBy=default.target"), "{unit}");
}

#[test]
fn a_manifest_is_well_formed() {
    let text = content(&nvm(), Init::Smf);
    let (mut open, mut rest) = (Vec::new(), text.as_str());
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned()), "{text}"),
            None if tag.starts_with(['?', '!']) || tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap_or_default().to_owned()),
        }
    }
    assert!(open.is_empty() && !text.contains(" deploy/.pm2\"\""), "{text}");
}
