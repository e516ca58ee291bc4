'use strict'

// The life of real processes under our daemon: started, crashed, killed, stopped, given up.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { environOf, fixture, freshClient, isAlive, waitFor } = require('../support/home.js')

const only = async (pm2, name) => (await pm2.describe(name))[0]

test('a killed app comes back, with another pid and one restart counted', async (t) => {
  const pm2 = freshClient(t)
  const [started] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  process.kill(started.pid, 'SIGKILL')
  const again = await waitFor(async () => {
    const app = await only(pm2, 'app')
    return app.pm2_env.status === 'online' && app.pid !== started.pid && app
  })
  assert.equal(again.pm2_env.restart_time, 1)
  assert.ok(isAlive(again.pid))
  assert.equal(again.pm2_env.exit_code, 0, 'a death by signal is stored as 0')
})

test('an app that fails at once is given up after max_restarts', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('crash.js'), name: 'app', max_restarts: 3 })
  const app = await waitFor(async () => {
    const seen = await only(pm2, 'app')
    return seen.pm2_env.status === 'errored' && seen
  })
  assert.equal(app.pm2_env.restart_time, 2)
  assert.equal(app.pid, 0)
  assert.equal(app.pm2_env.exit_code, 3)
})

test('stop_exit_codes and autorestart decide whether it comes back', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start([
    { script: fixture('crash.js'), name: 'meant', stop_exit_codes: [3] },
    { script: fixture('crash.js'), name: 'once', autorestart: false },
  ])
  for (const name of ['meant', 'once']) {
    const app = await waitFor(async () => {
      const seen = await only(pm2, name)
      return seen.pm2_env.status === 'stopped' && seen
    }, `${name} stopped`)
    assert.equal(app.pm2_env.restart_time, 0, name)
  }
})

test('restart_delay shows as waiting restart, and a stop ends the wait', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('crash.js'), name: 'app', restart_delay: 600_000 })
  await waitFor(async () => (await only(pm2, 'app')).pm2_env.status === 'waiting restart')
  const [stopped] = await pm2.stop('app')
  assert.equal(stopped.status, 'stopped')
  assert.equal((await only(pm2, 'app')).pm2_env.restart_time, 0)
})

test('a restart during waiting restart starts it now (Q14)', async (t) => {
  const pm2 = freshClient(t)
  const flag = path.join(path.dirname(pm2.home), 'flag')
  const script = path.join(path.dirname(pm2.home), 'once.sh')
  fs.writeFileSync(script, `if [ -e ${flag} ]; then exec sleep 100000; else touch ${flag}; exit 1; fi\n`)
  await pm2.start({ script, name: 'app', restart_delay: 600_000 })
  await waitFor(async () => (await only(pm2, 'app')).pm2_env.status === 'waiting restart')
  const [restarted] = await pm2.restart('app')
  assert.equal(restarted.status, 'online')
  assert.ok(isAlive((await only(pm2, 'app')).pid))
})

test('stop ends the whole tree of processes', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('tree.js'), name: 'app' })
  const log = app.pm2_env.pm_out_log_path
  const pids = await waitFor(() => {
    const text = fs.readFileSync(log, 'utf8')
    const found = [...text.matchAll(/^(?:child|grandchild) (\d+)$/gm)].map((match) => Number(match[1]))
    return found.length === 2 && [app.pid, ...found]
  })
  assert.ok(pids.every(isAlive))
  await pm2.stop('app')
  assert.deepEqual(pids.filter(isAlive), [])
})

test('what ignores the signal is killed after kill_timeout', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('stubborn.js'), name: 'app', kill_timeout: 300 })
  await waitFor(() => fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('is up'))
  const stopping = pm2.stop('app')
  await waitFor(async () => (await only(pm2, 'app')).pm2_env.status === 'stopping')
  const [stopped] = await stopping
  assert.equal(stopped.status, 'stopped')
  assert.equal(isAlive(app.pid), false)
})

test('the pid file is there while it runs', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const file = app.pm2_env.pm_pid_path
  assert.equal(await waitFor(() => fs.readFileSync(file, 'utf8')), String(app.pid))
  assert.match(file, /app-0\.pid$/)
  await pm2.stop('app')
  assert.equal(fs.existsSync(file), false)
})

test('out, error and combined logs hold what was written', async (t) => {
  const pm2 = freshClient(t)
  const folder = path.dirname(pm2.home)
  const script = path.join(folder, 'both.sh')
  fs.writeFileSync(script, 'echo to stdout; echo to stderr >&2; printf "no newline"; sleep 100000\n')
  await pm2.start({
    script,
    name: 'app',
    out_file: path.join(folder, 'deep', 'er', 'out.log'),
    error_file: path.join(folder, 'err.log'),
    log_file: path.join(folder, 'all.log'),
  })
  await waitFor(() => fs.readFileSync(path.join(folder, 'all.log'), 'utf8').includes('to stderr'))
  await pm2.stop('app')
  assert.equal(fs.readFileSync(path.join(folder, 'deep', 'er', 'out.log'), 'utf8'), 'to stdout\nno newline')
  assert.equal(fs.readFileSync(path.join(folder, 'err.log'), 'utf8'), 'to stderr\n')
  const all = fs.readFileSync(path.join(folder, 'all.log'), 'utf8')
  for (const part of ['to stdout\n', 'to stderr\n', 'no newline']) assert.ok(all.includes(part), part)
})

test('dates are put before every line, also an unfinished last one', async (t) => {
  const pm2 = freshClient(t)
  const script = path.join(path.dirname(pm2.home), 'lines.sh')
  fs.writeFileSync(script, 'printf "one\\ntwo\\nthree"; sleep 0.1\n')
  const [app] = await pm2.start({ script, name: 'app', log_date_format: 'YYYY-MM-DD HH:mm', autorestart: false })
  const text = await waitFor(() => {
    const seen = fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8')
    return seen.includes('three') && seen
  })
  assert.match(
    text,
    /^\d{4}-\d\d-\d\d \d\d:\d\d: one\n\d{4}-\d\d-\d\d \d\d:\d\d: two\n\d{4}-\d\d-\d\d \d\d:\d\d: three\n?$/,
  )
})

test('dump and resurrect bring the same apps back', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start([
    { script: fixture('forever.js'), name: 'runs', args: ['a', 'b c'], env: { COLOUR: 'green' } },
    { script: fixture('forever.js'), name: 'rests' },
  ])
  await pm2.stop('rests')
  await pm2.dump()
  const mode = fs.statSync(path.join(pm2.home, 'dump.pm2')).mode & 0o777
  assert.equal(mode, 0o600)
  await pm2.killDaemon()
  await pm2.resurrect()
  const [runs, rests] = [await only(pm2, 'runs'), await only(pm2, 'rests')]
  assert.equal(runs.pm2_env.status, 'online')
  assert.deepEqual(runs.pm2_env.args, ['a', 'b c'])
  assert.equal(runs.pm2_env.env.COLOUR, 'green')
  assert.equal(rests.pm2_env.status, 'stopped')
})

test("the app is given its own environment and pm2's, and not that of the daemon", async (t) => {
  process.env.ONLY_FOR_THE_DAEMON = 'x'
  const pm2 = freshClient(t)
  await pm2.connect()
  delete process.env.ONLY_FOR_THE_DAEMON
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app', env: { MINE: 'yes', NUMBER: 7 } })
  const environ = environOf(app.pid)
  for (const entry of ['MINE=yes', 'NUMBER=7', 'pm_id=0', 'name=app', 'NODE_APP_INSTANCE=0', `PM2_HOME=${pm2.home}`]) {
    assert.ok(environ.includes(entry), entry)
  }
  assert.deepEqual(
    environ.filter((entry) => entry.startsWith('ONLY_FOR_THE_DAEMON=')),
    [],
  )
})

test('argv[1] and require.main are the script, and nothing of ours reaches its children', async (t) => {
  const pm2 = freshClient(t)
  const script = path.join(path.dirname(pm2.home), 'who.js')
  fs.writeFileSync(
    script,
    `const { execFileSync } = require('node:child_process')
    const child = execFileSync(process.execPath, ['-p', 'JSON.stringify([process.execArgv, process.env.NODE_OPTIONS ?? null, process.env.NODE_CHANNEL_FD ?? null])'], { encoding: 'utf8' })
    console.log(JSON.stringify({ argv1: process.argv[1], rest: process.argv.slice(2), main: require.main.filename, execArgv: process.execArgv, child: JSON.parse(child) }))
    setInterval(() => {}, 1 << 30)`,
  )
  const [app] = await pm2.start({ script, name: 'app', args: ['x', 'y z'] })
  const said = JSON.parse(await waitFor(() => fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8')))
  assert.deepEqual(said, {
    argv1: script,
    rest: ['x', 'y z'],
    main: script,
    execArgv: [],
    child: [
      [
        '-p',
        'JSON.stringify([process.execArgv, process.env.NODE_OPTIONS ?? null, process.env.NODE_CHANNEL_FD ?? null])',
      ],
      null,
      null,
    ],
  })
})

test('ESM scripts, directories, shell commands and binaries run', async (t) => {
  const pm2 = freshClient(t)
  const folder = path.dirname(pm2.home)
  fs.writeFileSync(
    path.join(folder, 'app.mjs'),
    "import { pid } from 'node:process'\nconsole.log('esm', pid)\nsetInterval(() => {}, 1 << 30)\n",
  )
  fs.mkdirSync(path.join(folder, 'dir'))
  fs.writeFileSync(path.join(folder, 'dir', 'index.js'), "console.log('directory')\nsetInterval(() => {}, 1 << 30)\n")
  await pm2.start([
    { script: path.join(folder, 'app.mjs'), name: 'esm' },
    { script: path.join(folder, 'dir'), name: 'dir' },
    { script: 'echo from the shell && sleep 100000', name: 'shell' },
    { script: '/bin/sleep', args: ['100000'], name: 'binary' },
  ])
  for (const name of ['esm', 'dir', 'shell', 'binary']) {
    const app = await only(pm2, name)
    assert.equal(app.pm2_env.status, 'online', name)
    assert.ok(isAlive(app.pid), name)
  }
  for (const [name, text] of [
    ['esm', 'esm'],
    ['dir', 'directory'],
    ['shell', 'from the shell'],
  ]) {
    const file = (await only(pm2, name)).pm2_env.pm_out_log_path
    await waitFor(() => fs.readFileSync(file, 'utf8').includes(text), `${name} says "${text}"`)
  }
})

test('instances in fork mode have their own numbers, files and unique ids', async (t) => {
  const pm2 = freshClient(t)
  const apps = await pm2.start({
    script: fixture('forever.js'),
    name: 'many',
    exec_mode: 'fork',
    instances: 3,
    increment_var: 'PORT',
    env: { PORT: 3000 },
  })
  assert.deepEqual(
    apps.map((app) => app.pm2_env.NODE_APP_INSTANCE),
    [0, 1, 2],
  )
  assert.deepEqual(
    apps.map((app) => app.pm2_env.PORT),
    [3000, 3001, 3002],
  )
  assert.deepEqual(
    apps.map((app) => path.basename(app.pm2_env.pm_out_log_path)),
    ['many-out-0.log', 'many-out-1.log', 'many-out-2.log'],
  )
  assert.equal(new Set(apps.map((app) => app.pm2_env.unique_id)).size, 3)
})

test('monit tells memory and CPU of what runs', async (t) => {
  const pm2 = freshClient(t)
  const script = path.join(path.dirname(pm2.home), 'busy.sh')
  fs.writeFileSync(script, 'while :; do :; done\n')
  await pm2.start([
    { script, name: 'busy' },
    { script: fixture('forever.js'), name: 'idle' },
  ])
  await pm2.list()
  const busy = await waitFor(async () => {
    const app = await only(pm2, 'busy')
    return app.monit.cpu > 1 && app
  })
  assert.ok(busy.monit.memory > 100_000, `memory ${busy.monit.memory}`)
  await pm2.stop('idle')
  assert.deepEqual((await only(pm2, 'idle')).monit, { memory: 0, cpu: 0 })
})
