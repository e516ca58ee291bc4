'use strict'

// Restart and reload of something that exists.

const { json, jsonWith, running } = require('./forms.js')

module.exports = [
  // Restart and reload of something that exists.
  { name: 'restart plain', call: 'restart', args: ['app'], existing: running() },
  {
    name: 'restart options',
    call: 'restart',
    args: ['app', { maxMemoryRestart: '1G', name: 'x', cron: '0 0 * * *', treekill: true, watch: true }],
    existing: running(),
  },
  {
    name: 'restart snake options',
    call: 'restart',
    args: ['app', { max_memory_restart: '1G', kill_timeout: 50 }],
    existing: running(),
  },
  {
    name: 'restart false options',
    call: 'restart',
    args: ['app', { autorestart: false, treekill: false, execMode: 'cluster' }],
    existing: running(),
  },
  {
    name: 'restart update env',
    call: 'restart',
    args: ['app', { updateEnv: true }],
    env: { NEW: '1', name: 'n' },
    existing: running(),
  },
  { name: 'restart no update env', call: 'restart', args: ['app', {}], env: { NEW: '1' }, existing: running() },
  { name: 'restart invalid', call: 'restart', args: ['app', { maxRestarts: 'many' }], existing: running() },
  { name: 'restart env option', call: 'restart', args: ['app', { env: 'prod' }], existing: running() },
  {
    name: 'restart instances',
    call: 'restart',
    args: ['app', { instances: 3, args: ['x'], scriptArgs: ['y'], output: 'o.log', cwd: 'sub' }],
    existing: running(),
  },
  { name: 'restart cron off', call: 'restart', args: ['app', { cron: '0' }], existing: running() },
  {
    name: 'restart module conf',
    call: 'restart',
    args: ['app'],
    module_conf: { app: { key: 'v' } },
    existing: running(),
  },
  { name: 'restart id', call: 'restart', args: [0], existing: running() },
  {
    name: 'restart after json',
    call: 'restart',
    args: ['app', { max_memory_restart: '1G', kill_timeout: 50, cron: 'x' }],
    before: { script: 'my.app.js' },
    existing: running(),
  },
  {
    name: 'restart after json plain',
    call: 'restart',
    args: ['app'],
    before: { script: 'my.app.js' },
    existing: running(),
  },
  { name: 'reload options', call: 'reload', args: ['app', { updateEnv: true, killTimeout: 50 }], existing: running() },
  { name: 'start name', args: ['app', { maxRestarts: 3 }], existing: running() },
  { name: 'start stopped script', args: ['app.js', { maxRestarts: 3 }], existing: running({ status: 'stopped' }) },
  json('json existing', { max_restarts: 3 }, { existing: running(), env: { NEW: '1' } }),
  json(
    'json existing env',
    { env: { A: '1', O: { x: 1 } }, env_prod: { B: '2' } },
    { existing: running(), env: { NEW: '1' } },
  ),
  jsonWith(
    'json existing env name',
    { env: { A: '1' }, env_prod: { B: '2' } },
    { env: 'prod' },
    { existing: running(), env: { NEW: '1' } },
  ),
  json(
    'json existing changed',
    {
      cwd: '{dir}/app',
      out_file: 'o.log',
      instances: 3,
      exec_mode: 'cluster',
      args: 'a b',
      node_args: '--x',
      cron_restart: 'null',
      time: true,
      uid: 'root',
      port: 3000,
    },
    { existing: running() },
  ),
  jsonWith(
    'json existing updated',
    {},
    { updateEnv: true, watch: true, namespace: 'ns' },
    { existing: running(), env: { NEW: '1' } },
  ),
  json('json existing invalid', { max_restarts: 'many' }, { existing: running() }),
  json('json existing module conf', {}, { existing: running(), module_conf: { app: { key: 'v' } } }),
  json(
    'json existing filter',
    { filter_env: ['SECRET'], env: { A: '1' } },
    { existing: running(), env: { MY_SECRET: '1', KEEP: 'k' } },
  ),
  json(
    'json existing python',
    { script: 'work.py', name: 'app', interpreter: 'python3', command: 'x y' },
    { existing: running() },
  ),
  { name: 'restart json', call: 'restart', args: [{ script: 'app.js', max_restarts: 3 }], existing: running() },
]
