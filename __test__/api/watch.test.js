'use strict'

// `watch`: real files, real restarts.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, waitFor } = require('../support/home.js')

const script = fixture('forever.js')
const only = async (pm2, name) => (await pm2.describe(name))[0]
const restarts = async (pm2, name) => (await only(pm2, name)).pm2_env.restart_time
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const daemonLog = (pm2) => {
  try {
    return fs.readFileSync(path.join(pm2.home, 'pm2.log'), 'utf8')
  } catch {
    return ''
  }
}
const watching = (pm2, name) => waitFor(() => daemonLog(pm2).includes(`[Watch] Start watching ${name}`))

/** A client and a folder to watch, with the app started and the watcher at work. */
async function watched(t, options = {}, name = 'app') {
  const pm2 = freshClient(t)
  const cwd = path.join(path.dirname(pm2.home), 'work')
  fs.mkdirSync(path.join(cwd, 'lib'), { recursive: true })
  fs.mkdirSync(path.join(cwd, 'node_modules'))
  const write = (file, text = String(Math.random())) => fs.writeFileSync(path.join(cwd, file), text)
  write('lib/old.js')
  await pm2.start({ script, name, cwd, watch: true, ...options })
  await watching(pm2, name)
  return { pm2, cwd, write, restarted: (n) => waitFor(async () => (await restarts(pm2, name)) === n, `${n} restarts`) }
}

test('a changed, a new and a removed file restart the app, once each', async (t) => {
  const { pm2, cwd, write, restarted } = await watched(t)
  write('new.txt')
  await restarted(1)
  assert.match(daemonLog(pm2), /Change detected on path new\.txt for app app - restarting/)
  await pause(200)
  write('lib/old.js')
  await restarted(2)
  await pause(200)
  fs.rmSync(path.join(cwd, 'lib/old.js'))
  await restarted(3)
  await pause(300)
  assert.equal(await restarts(pm2, 'app'), 3)
})

test('hidden files and node_modules do not count', async (t) => {
  const { pm2, write, restarted } = await watched(t)
  write('.hidden')
  write('node_modules/a.js')
  await pause(400)
  assert.equal(await restarts(pm2, 'app'), 0)
  write('seen.txt')
  await restarted(1)
})

test("an editor's save, temporary file and rename, is one restart", async (t) => {
  const { pm2, cwd, write, restarted } = await watched(t)
  write('lib/old.js~')
  await pause(10)
  fs.renameSync(path.join(cwd, 'lib/old.js~'), path.join(cwd, 'lib/old.js'))
  fs.chmodSync(path.join(cwd, 'lib/old.js'), 0o644)
  await restarted(1)
  await pause(500)
  assert.equal(await restarts(pm2, 'app'), 1)
})

test('new folders are watched, also when they come back', async (t) => {
  const { cwd, write, restarted } = await watched(t)
  fs.mkdirSync(path.join(cwd, 'deep/er'), { recursive: true })
  await restarted(1)
  await pause(300)
  write('deep/er/x.js')
  await restarted(2)
  await pause(300)
  fs.rmSync(path.join(cwd, 'lib'), { recursive: true })
  await restarted(3)
  await pause(300)
  fs.mkdirSync(path.join(cwd, 'lib'))
  await restarted(4)
  await pause(300)
  write('lib/again.js')
  await restarted(5)
})

test('globs and ignore_watch choose', async (t) => {
  const { pm2, write, restarted } = await watched(t, {
    watch: ['*.txt', 'lib/**/*.js'],
    ignore_watch: ['secret.txt', 'lib/gen*'],
  })
  for (const file of ['a.css', 'secret.txt', 'lib/generated.js', 'lib/a.css']) write(file)
  await pause(400)
  assert.equal(await restarts(pm2, 'app'), 0)
  write('a.txt')
  await restarted(1)
  await pause(200)
  write('lib/b.js')
  await restarted(2)
})

test('our own log and pid files never count', async (t) => {
  const { pm2, cwd, write, restarted } = await watched(t, {
    script: fixture('chatty.js'),
    out_file: 'logs.log',
    error_file: 'err.txt',
    pid_file: 'app.pid',
  })
  write('logs.log.1')
  await waitFor(() => fs.readFileSync(path.join(cwd, 'logs.log'), 'utf8').split('\n').length > 5)
  fs.appendFileSync(path.join(cwd, 'err.txt'), 'as if written by us\n')
  await pause(500)
  assert.equal(await restarts(pm2, 'app'), 0)
  write('real.txt')
  await restarted(1)
  await pause(500)
  assert.equal(await restarts(pm2, 'app'), 1)
})

test('every instance of the name is restarted once, after watch_delay', async (t) => {
  const { pm2, write } = await watched(t, { instances: 2, exec_mode: 'fork', watch_delay: 700 })
  const before = Date.now()
  write('x.txt')
  await waitFor(async () => (await pm2.describe('app')).every((app) => app.pm2_env.restart_time === 1))
  assert.ok(Date.now() - before >= 700)
  await pause(300)
  assert.deepEqual(
    (await pm2.describe('app')).map((app) => app.pm2_env.restart_time),
    [1, 1],
  )
})

test('stop ends the watching, an explicit watch at restart begins it again', async (t) => {
  const { pm2, write, restarted } = await watched(t)
  await pm2.stop('app')
  assert.equal((await only(pm2, 'app')).pm2_env.watch, false)
  assert.match(daemonLog(pm2), /\[Watch\] Stop watching app/)
  write('x.txt')
  await pause(300)
  assert.equal((await only(pm2, 'app')).pm2_env.status, 'stopped')
  await pm2.restart('app')
  write('x.txt')
  await pause(300)
  const counted = await restarts(pm2, 'app')
  await pm2.restart('app', { watch: true })
  await waitFor(() => daemonLog(pm2).split('[Watch] Start watching app').length === 3)
  write('x.txt')
  await restarted(counted + 2)
})

test('polling works where the kernel tells nothing', async (t) => {
  const { write, restarted } = await watched(t, { watch_options: { usePolling: true, interval: 50 } })
  await pause(200)
  write('polled.txt')
  await restarted(1)
})

test('who watches has a thread and an inotify descriptor, nobody else', async (t) => {
  const { pm2 } = await watched(t)
  const daemon = () => {
    const keeper = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
    const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ')
    return children.find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('daemon'))
  }
  const pid = daemon()
  assert.ok(pid, 'the daemon is a child of the keeper')
  const inotify = () =>
    fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes('inotify')
      } catch {
        return false
      }
    }).length
  assert.equal(inotify(), 1)
  await pm2.delete('app')
  await waitFor(() => inotify() === 0)
})

test('the watcher is there again after the daemon was killed', async (t) => {
  const { pm2, write, restarted } = await watched(t)
  const keeper = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ')
  const pid = children.find((child) => fs.readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('daemon'))
  process.kill(Number(pid), 'SIGKILL')
  await waitFor(() => daemonLog(pm2).split('[Watch] Start watching app').length === 3)
  write('x.txt')
  await restarted(1)
})
