'use strict'

// How a case is written down: the call in its forms.

const json = (name, app, more = {}) => ({ name, args: [{ script: 'app.js', ...app }], ...more })
const jsonWith = (name, app, options, more = {}) => ({ name, args: [{ script: 'app.js', ...app }, options], ...more })
const script = (name, text, options = {}, more = {}) => ({ name, args: [text, options], ...more })
const running = (more = {}) => [{ name: 'app', pm_id: 0, pm_exec_path: '{dir}/app/app.js', ...more }]

// Every option but those whose wrong type ends the call before the check.
const ALL =
  'name name_prefix filter_env namespace install_url cwd args exec_interpreter node_args out_file error_file log_file log_type log_date_format disable_logs pid_file max_memory_restart restart_delay exp_backoff_restart_delay source_map_support disable_source_map_support execute_command kill_timeout shutdown_with_message listen_timeout wait_ready ignore_watch merge_logs vizion autostart autorestart stop_exit_codes watch_delay watch min_uptime max_restarts post_update instance_var increment_var append_env_to_name port automation treekill pmx username windowsHide kill_retry_time write force trace disable_trace v8 event_loop_inspector deep_monitoring instances time'.split(
    ' ',
  )

module.exports = { ALL, json, jsonWith, running, script }
