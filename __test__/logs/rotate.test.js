'use strict'

// Rotation with real processes: the defaults of the module configuration, an external logrotate in both manners, and disks
// that say no.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { freshClient, isAlive, waitFor } = require('../support/home.js')

const read = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '')

/** An app that says each line it gets on stdin. */
async function echo(t, options = {}) {
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'logs')
  const log = path.join(folder, 'out.log')
  fs.mkdirSync(path.join(folder))
  const script = path.join(folder, 'echo.sh')
  fs.writeFileSync(script, 'while IFS= read -r line; do echo "$line"; done\n')
  await pm2.connect()
  await pm2.start({
    name: 'echo',
    script,
    interpreter: '/bin/sh',
    out_file: log,
    error_file: '/dev/null',
    merge_logs: true,
    ...options,
  })
  const say = (line) => pm2.sendLineToStdin(0, line)
  return { pm2, log, say }
}

test('defaults for all apps come from the module configuration, at once after reloadLogs', async (t) => {
  const { pm2, log, say } = await echo(t)
  await say('one')
  await waitFor(() => read(log) === 'one\n')
  await pm2.set('pm2-rs:log_max_size', '4')
  await pm2.set('pm2-rs:log_keep', '2')
  await pm2.reloadLogs()
  for (const line of ['two', 'three', 'four']) {
    await say(line)
    await waitFor(() => read(log) === `${line}\n`)
  }
  assert.equal(read(`${log}.1`), 'three\n')
  assert.equal(read(`${log}.2`), 'two\n')
  assert.ok(!fs.existsSync(`${log}.3`))
})

test('an app may be without the default, and the default is there after a restart of the daemon', async (t) => {
  const { pm2, log, say } = await echo(t)
  await pm2.set('pm2-rs:log_max_size', '4')
  const free = path.join(path.dirname(log), 'free.log')
  await pm2.start({
    name: 'free',
    script: path.join(path.dirname(log), 'echo.sh'),
    interpreter: '/bin/sh',
    out_file: free,
    error_file: '/dev/null',
    merge_logs: true,
    log_max_size: 0,
  })
  const keeper = Number(read(path.join(pm2.home, 'pm2.pid')))
  const children = () => read(`/proc/${keeper}/task/${keeper}/children`).trim().split(' ')
  const daemon = () => Number(children().find((pid) => /\0daemon\0/.test(`\0${read(`/proc/${pid}/cmdline`)}\0`)))
  const before = daemon()
  process.kill(before, 'SIGKILL')
  await waitFor(() => !isAlive(before) && daemon() > 0)
  await waitFor(async () => (await pm2.list()).length === 2)
  for (const line of ['one', 'two']) {
    await say(line)
    await waitFor(() => read(log) === `${line}\n`)
    await pm2.sendLineToStdin(1, line)
  }
  await waitFor(() => read(free) === 'one\ntwo\n')
  assert.equal(read(`${log}.1`), 'one\n')
})

for (const how of ['reloadLogs', 'SIGUSR2']) {
  test(`logrotate in create manner: rename, create, ${how}`, async (t) => {
    const { pm2, log, say } = await echo(t)
    await say('one')
    await waitFor(() => read(log) === 'one\n')
    fs.renameSync(log, `${log}.old`)
    fs.writeFileSync(log, '')
    await say('two')
    await waitFor(() => read(`${log}.old`) === 'one\ntwo\n', 'until it is told, it writes to the old file')
    if (how === 'reloadLogs') await pm2.reloadLogs()
    else process.kill(Number(read(path.join(pm2.home, 'pm2.pid'))), 'SIGUSR2')
    await waitFor(() => read(path.join(pm2.home, 'pm2.log')).includes('Reloading logs'))
    await say('three')
    await waitFor(() => read(log) === 'three\n')
    assert.equal(read(`${log}.old`), 'one\ntwo\n')
  })
}

test('logrotate in copytruncate manner', async (t) => {
  const { log, say } = await echo(t, { log_max_size: '1M' })
  await say('one')
  await waitFor(() => read(log) === 'one\n')
  fs.copyFileSync(log, `${log}.copy`)
  fs.truncateSync(log)
  await say('two')
  await waitFor(() => read(log) === 'two\n', 'without a hole in front')
  assert.equal(read(`${log}.copy`), 'one\n')
})

test('a log folder that disappears is made anew, and the bus and pm2.log tell what cannot be written', async (t) => {
  const { pm2, log, say } = await echo(t)
  const bus = await pm2.launchBus()
  const told = []
  bus.on('pm2rs:*', (kind, event) => told.push([kind, event]))
  await say('one')
  await waitFor(() => read(log) === 'one\n')
  fs.rmSync(path.dirname(log), { recursive: true })
  await say('two')
  await waitFor(() => read(log) === 'two\n')

  // A file in the place of the folder: nothing can be opened.
  fs.rmSync(path.dirname(log), { recursive: true })
  fs.writeFileSync(path.dirname(log), '')
  await say('three')
  const [kind, event] = await waitFor(() => told[0])
  assert.equal(kind, 'log_dropped')
  assert.equal(event.path, log)
  assert.match(event.code, /ENOTDIR|EEXIST/)
  assert.ok(event.dropped > 0)
  fs.rmSync(path.dirname(log))
  await waitFor(async () => {
    await say('again')
    return read(log).includes('again\n')
  })
  await waitFor(() => told.some(([kind]) => kind === 'log_recovered'))
  const said = read(path.join(pm2.home, 'pm2.log'))
  assert.equal(said.match(/cannot write to log file/g).length, 1)
  assert.equal(said.match(/can be written again/g).length, 1)
})

test('a full disk stops no app', async (t) => {
  const { pm2 } = await echo(t, { out_file: '/dev/full' })
  await pm2.sendLineToStdin(0, 'lost')
  await waitFor(() =>
    /cannot write to log file \/dev\/full.*ENOSPC|No space left/.test(read(path.join(pm2.home, 'pm2.log'))),
  )
  assert.equal((await pm2.list())[0].pm2_env.status, 'online')
})
