//! Where we send something else than the stock client on purpose.

/// One case with differences: the quirk (contract/api.md section 17) or the reason, and every difference as found.
pub(super) struct Deviation {
    pub(super) case: &'static str,
    pub(super) why: &'static str,
    pub(super) lines: &'static [&'static str],
}

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        case: "json relative cwd",
        why: "api.md 4.9: the caller's environment is not changed; PWD is what the app will really see, an absolute path",
        lines: &[".prepare.env.PWD: sub -> {dir}/app/sub"],
    },
    Deviation {
        case: "script cwd",
        why: "api.md 4.9: the caller's environment is not changed; PWD is what the app will really see, an absolute path",
        lines: &[".prepare.env.PWD: sub -> {dir}/app/sub"],
    },
    Deviation {
        case: "json unknown keys",
        why: "kill_signal is an option of ours",
        lines: &[".prepare.kill_signal: absent -> SIGTERM"],
    },
    Deviation {
        case: "json only exec",
        why: "Q11 in spirit: a crash of the client becomes what was meant",
        lines: &[
            ".error: Cannot read properties of undefined (reading 'replace') -> absent",
            ".prepare: absent -> a record",
        ],
    },
    Deviation {
        case: "json static",
        why: "Q54: the JavaScript layer replaces the script `serve` by its own server",
        lines: &[
            ".error: absent -> Script not found: {dir}/app/serve",
            ".prepare: a record -> absent",
            r#": {"error":"No script path - aborting"} -> absent"#,
        ],
    },
    Deviation {
        case: "json serve",
        why: "Q54: the JavaScript layer replaces the script `serve` by its own server",
        lines: &[".error: absent -> Script not found: {dir}/app/serve", ".prepare: a record -> absent"],
    },
    Deviation { case: "json max_restarts zero", why: "Q2", lines: &[".prepare.max_restarts: absent -> 0"] },
    Deviation {
        case: "json falsy",
        why: "Q2: an explicit false is kept",
        lines: &[".prepare.source_map_support: absent -> false", ".prepare.wait_ready: absent -> false"],
    },
    Deviation {
        case: "json stop codes zero",
        why: "Q2: the exit code 0 is meant",
        lines: &[".prepare.stop_exit_codes: absent -> 0"],
    },
    Deviation { case: "json stop codes empty", why: "Q3: NaN", lines: &[".prepare.stop_exit_codes: null -> []"] },
    Deviation {
        case: "json coffee",
        why: "we bundle no CoffeeScript; it is looked up in PATH",
        lines: &[
            ".error: Interpreter {pm2}/node_modules/.bin/coffee is NOT AVAILABLE in PATH. (type 'which {pm2}/node_modules/.bin/coffee' to double check.) -> Interpreter coffee is NOT AVAILABLE in PATH. (type 'which coffee' to double check.)",
        ],
    },
    Deviation {
        case: "json file with space",
        why: "Q57",
        lines: &[
            r#".prepare.args: ["-c","sp ace.js"] -> absent"#,
            ".prepare.exec_interpreter: none -> node",
            ".prepare.pm_exec_path: {dir}/bin/bash -> {dir}/app/sp ace.js",
        ],
    },
    Deviation {
        case: "json exec_mode number",
        why: "Q11",
        lines: &[
            r#".error: app.exec_mode.replace is not a function -> Expect "exec_mode" to be a typeof [object String], but now is [object Number]"#,
        ],
    },
    Deviation {
        case: "json python cluster",
        why: "api.md 12.1: only Node can be a cluster worker",
        lines: &[".prepare.exec_mode: cluster_mode -> fork_mode"],
    },
    Deviation { case: "json instances -2", why: "Q4", lines: &[".prepare.exec_mode: fork_mode -> cluster_mode"] },
    Deviation { case: "json instances 1.5", why: "api.md 12.1: 1.5 means 1", lines: &[".prepare.instances: 1.5 -> 1"] },
    Deviation {
        case: "json merge_logs false",
        why: "Q2: an explicit false is kept",
        lines: &[".prepare.merge_logs: absent -> false"],
    },
    Deviation {
        case: "json env text",
        why: "Q11",
        lines: &[
            r#".error: Cannot create property 'io' on string 'A=1' -> Expect "env" to be a typeof [object Object], but now is [object String]"#,
        ],
    },
    Deviation {
        case: "script env text",
        why: "Q11",
        lines: &[
            r#".error: absent -> Expect "env" to be a typeof [object Object], but now is [object String]"#,
            ".prepare: a record -> absent",
        ],
    },
    Deviation { case: "json deploy env", why: "Q6", lines: &[".prepare.env.A: deploy -> app"] },
    Deviation {
        case: "json filter list",
        why: "Q55: reserved names are never inherited",
        lines: &[".prepare.env.name: n -> absent"],
    },
    Deviation {
        case: "json filter text",
        why: "Q55: reserved names are never inherited",
        lines: &[".prepare.env.name: n -> absent"],
    },
    Deviation {
        case: "json filter true",
        why: "Q5",
        lines: &[
            ".prepare.env.HOME: {dir}/user -> absent",
            ".prepare.env.MY_SECRET: s -> absent",
            ".prepare.env.PATH: {dir}/bin -> absent",
        ],
    },
    Deviation {
        case: "json filter false",
        why: "Q2: an explicit false is kept",
        lines: &[".prepare.filter_env: absent -> false"],
    },
    Deviation {
        case: "json user unknown",
        why: "Q52",
        lines: &[
            ".error: \u{1b}[31m[PM2][ERROR] \u{1b}[39m User nosuch cannot be found -> User nosuch cannot be found",
        ],
    },
    Deviation {
        case: "json group unknown",
        why: "Q52",
        lines: &[
            ".error: \u{1b}[31m[PM2][ERROR] \u{1b}[39m Group nosuch cannot be found -> Group nosuch cannot be found",
        ],
    },
    Deviation {
        case: "json trace",
        why: "Q2: an explicit false is kept",
        lines: &[".prepare.deep_monitoring: absent -> false"],
    },
    Deviation {
        case: "json options text instances",
        why: "Q1 in spirit: numeric texts count, and uid is looked up before it is sent",
        lines: &[
            ".prepare.env.HOME: {dir}/user -> /root",
            ".prepare.exec_mode: fork_mode -> cluster_mode",
            ".prepare.gid: absent -> 0",
            ".prepare.instances: 1 -> 3",
            ".prepare.uid: root -> 0",
        ],
    },
    Deviation {
        case: "json uid unknown number",
        why: "Q52",
        lines: &[".error: \u{1b}[31m[PM2][ERROR] \u{1b}[39m User 54321 cannot be found -> User 54321 cannot be found"],
    },
    Deviation {
        case: "json script number",
        why: "Q11",
        lines: &[
            r#".error: The "path" argument must be of type string. Received type number (5) -> Expect "script" to be a typeof [object String], but now is [object Number]"#,
        ],
    },
    Deviation {
        case: "json env_x text chosen",
        why: "Q11",
        lines: &[
            r#".error: absent -> Expect "env_x" to be a typeof [object Object], but now is [object String]"#,
            ".prepare: a record -> absent",
        ],
    },
    Deviation {
        case: "json numbers",
        why: "hexadecimal texts are refused; pm2 silently makes 0 of them",
        lines: &[
            r#".error: absent -> Expect "kill_timeout" to be a typeof [object Number], but now is [object String]"#,
            ".prepare: a record -> absent",
        ],
    },
    Deviation {
        case: "script snake",
        why: "Q1",
        lines: &[
            r#".prepare.args: absent -> ["a"]"#,
            ".prepare.exec_mode: fork_mode -> cluster_mode",
            ".prepare.max_memory_restart: absent -> 1073741824",
            ".prepare.restart_delay: absent -> 10",
        ],
    },
    Deviation {
        case: "script watch delay ms",
        why: "options.md 1: the unit ms is documented",
        lines: &[
            r#".error: Expect "watch_delay" to be a typeof [object Number], but now is [object String] -> absent"#,
            ".prepare: absent -> a record",
        ],
    },
    Deviation {
        case: "script launched",
        why: "decided by the client, which knows the list",
        lines: &[".error: Script already launched -> absent", r#".restart: absent -> {"current_conf":{}}"#],
    },
    Deviation {
        case: "script filter",
        why: "Q55: reserved names are never inherited",
        lines: &[".prepare.env.name: n -> absent"],
    },
    Deviation {
        case: "restart options",
        why: "Q8: what is given is sent",
        lines: &[".restart.current_conf.treekill: absent -> true"],
    },
    Deviation {
        case: "restart snake options",
        why: "Q1, Q8",
        lines: &[
            ".restart.current_conf.kill_timeout: absent -> 50",
            ".restart.current_conf.max_memory_restart: absent -> 1073741824",
        ],
    },
    Deviation {
        case: "restart update env",
        why: "Q55: reserved names are never inherited",
        lines: &[".restart.name: n -> absent"],
    },
    Deviation {
        case: "restart invalid",
        why: "Q53",
        lines: &[
            r#".error: Cannot read properties of undefined (reading 'name') -> Expect "max_restarts" to be a typeof [object Number], but now is [object String]"#,
        ],
    },
    Deviation {
        case: "restart after json",
        why: "Q8, and validated",
        lines: &[
            ".error: absent -> Cron pattern error: CronPattern: invalid configuration format ('x'), exacly five or six space separated parts required.",
            r#".restart: {"current_conf":{"max_memory_restart":"1G","kill_timeout":50,"cron":"x"}} -> absent"#,
        ],
    },
    Deviation {
        case: "json existing filter",
        why: "Q7: the environment of a restart is made like that of a start",
        lines: &[".restart.MY_SECRET: 1 -> absent"],
    },
    Deviation {
        case: "json existing python",
        why: "Q7: the environment of a restart is made like that of a start",
        lines: &[".restart.PYTHONUNBUFFERED: absent -> 1"],
    },
    Deviation {
        case: "json cron more 8",
        why: "such a pattern means nothing, and is never due",
        lines: &[
            ".error: absent -> Cron pattern error: CronPattern: minutes value out of range: '70'",
            ".prepare: a record -> absent",
        ],
    },
    Deviation {
        case: "json cron more 14",
        why: "such a pattern means nothing, and is never due",
        lines: &[
            ".error: absent -> Cron pattern error: CronPattern: days value out of range: ''",
            ".prepare: a record -> absent",
        ],
    },
    Deviation {
        case: "json cron more 17",
        why: "such a pattern means nothing, and is never due",
        lines: &[
            ".error: absent -> Cron pattern error: CronPattern: minutes value out of range: '**'",
            ".prepare: a record -> absent",
        ],
    },
    Deviation {
        case: "json cron more 18",
        why: "such a pattern means nothing, and is never due",
        lines: &[
            ".error: absent -> Cron pattern error: CronPattern: minutes value out of range: '1*'",
            ".prepare: a record -> absent",
        ],
    },
];
