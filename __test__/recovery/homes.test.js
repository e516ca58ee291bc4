'use strict'

// What an earlier life, another program, or a disk can leave in a home.

const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, freshHome, isAlive, pidsWithEnv, root, waitFor } = require('../support/home.js')
const { goesOn, info, killDaemon, numbersApp, table } = require('../support/recovery.js')

const isRoot = process.getuid() === 0

/** A client whose home is a small disk of its own; nothing (and the test is skipped) where that is not allowed. */
function onMount(t, options) {
  let pm2
  let mounted = false
  // Hooks run in their order, and the folder can be removed only when nothing is mounted there.
  t.after(async () => {
    if (!mounted) return
    await pm2.killDaemon().catch(() => {})
    execFileSync('umount', ['-l', pm2.home])
  })
  pm2 = freshClient(t)
  fs.mkdirSync(pm2.home, { recursive: true, mode: 0o700 })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', pm2.home], { stdio: 'pipe' })
    mounted = true
  } catch (error) {
    t.skip(`cannot mount: ${error.stderr}`)
    return undefined
  }
  return pm2
}

test('stale sockets and a stale pid file do not stop a start', async (t) => {
  const pm2 = freshClient(t)
  fs.mkdirSync(pm2.home, { recursive: true })
  for (const name of ['rpc.sock', 'pub.sock']) {
    // A socket whose listener was killed.
    const script = `require('net').createServer().listen(${JSON.stringify(path.join(pm2.home, name))}, () => process.kill(process.pid, 'SIGKILL'))`
    const made = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
    await new Promise((resolve) => made.on('exit', resolve))
    assert.ok(fs.statSync(path.join(pm2.home, name)).isSocket())
  }
  const gone = spawn('true')
  await new Promise((resolve) => gone.on('exit', resolve))
  fs.writeFileSync(path.join(pm2.home, 'pm2.pid'), String(gone.pid))
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  assert.ok(isAlive(app.pid))
  assert.equal(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8'), String((await info(pm2)).keeper_pid))
})

test('a pid file that names another living program is no daemon, and that program is not signalled', async (t) => {
  const pm2 = freshClient(t)
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore' })
  t.after(() => stranger.kill('SIGKILL'))
  fs.mkdirSync(pm2.home, { recursive: true })
  fs.writeFileSync(path.join(pm2.home, 'pm2.pid'), String(stranger.pid))
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  assert.ok(isAlive(app.pid))
  await pm2.killDaemon()
  assert.ok(isAlive(stranger.pid))
})

test('what is in the place of a socket and is none is left alone, with words', async (t) => {
  const pm2 = freshClient(t)
  fs.mkdirSync(pm2.home, { recursive: true })
  fs.writeFileSync(path.join(pm2.home, 'pub.sock'), 'precious')
  await assert.rejects(pm2.list(), /pub\.sock exists and is not a socket/)
  assert.equal(fs.readFileSync(path.join(pm2.home, 'pub.sock'), 'utf8'), 'precious')
})

test('a socket that somebody else serves is not taken', async (t) => {
  const pm2 = freshClient(t)
  fs.mkdirSync(pm2.home, { recursive: true })
  const file = path.join(pm2.home, 'pub.sock')
  const server = net.createServer()
  await new Promise((resolve) => server.listen(file, resolve))
  t.after(() => server.close())
  await assert.rejects(pm2.list(), /another daemon answers on .*pub\.sock/)
})

test('a full disk: apps run on, the daemon lives and says so, and goes on when there is room', {
  skip: !isRoot && 'only root may mount',
}, async (t) => {
  const pm2 = onMount(t, 'size=1m,mode=0700')
  if (!pm2) return
  const [app] = await pm2.start({ script: numbersApp, name: 'app' })
  const fill = path.join(pm2.home, 'fill')
  const fd = fs.openSync(fill, 'w')
  try {
    for (;;) fs.writeSync(fd, Buffer.alloc(4096))
  } catch (error) {
    assert.equal(error.code, 'ENOSPC')
  }
  fs.closeSync(fd)
  await pm2.restart('app')
  const [full] = await table(pm2)
  assert.equal(full.status, 'online')
  assert.notEqual(full.pid, app.pid)
  await pm2.dump().then(
    () => assert.fail('a dump needs room'),
    (error) => assert.match(error.message, /space|ENOSPC/i),
  )
  fs.rmSync(fill)
  await goesOn(app)
  await pm2.restart('app')
  const before = await table(pm2)
  await killDaemon(pm2)
  assert.deepEqual(await table(pm2), before, 'the journal is whole again')
})

test('a home that cannot be written is refused with words', { skip: !isRoot && 'only root may mount' }, async (t) => {
  const pm2 = onMount(t, 'ro')
  if (!pm2) return
  await assert.rejects(
    pm2.list(),
    (error) => /read-only|EROFS/i.test(error.message) && error.message.includes(pm2.home),
  )
})

for (const how of ['exit', 'throw', 'return', 'SIGTERM', 'SIGKILL']) {
  test(`connect(true): daemon and apps are gone within 2 s of the end of the script (${how})`, async (t) => {
    const took = await end(t)
    assert.ok(took < 2000, `${took} ms`)
  })

  /** Runs such a script; milliseconds from its end to that of everything it had started. */
  async function end(t) {
    const home = freshHome(t)
    const script = `
      const pm2 = new (require(${JSON.stringify(root)}).custom)({ pm2_home: ${JSON.stringify(home)}, daemon_mode: false })
      pm2.connect(true).then(() => pm2.start({ script: ${JSON.stringify(fixture('forever.js'))}, name: 'app' })).then(([app]) => {
        console.log(app.pid)
        if (${how === 'exit'}) process.exit(0)
        if (${how === 'throw'}) setImmediate(() => { throw new Error('as intended') })
        if (${how === 'return'}) return pm2.disconnect()
        setInterval(() => {}, 1000)
      })`
    const child = spawn(process.execPath, ['-e', script], {
      env: { ...process.env, PM2_HOME: home },
      stdio: ['ignore', 'pipe', how === 'throw' ? 'ignore' : 'inherit'],
    })
    const pid = Number(await new Promise((resolve) => child.stdout.once('data', resolve)))
    const exited = new Promise((resolve) => child.on('exit', resolve))
    if (how.startsWith('SIG')) {
      assert.ok(isAlive(pid))
      child.kill(how)
    }
    await exited
    const ended = Date.now()
    await waitFor(() => !isAlive(pid) && pidsWithEnv(`PM2_HOME=${home}`).length === 0)
    const took = Date.now() - ended
    assert.equal(fs.existsSync(path.join(home, 'pm2d.journal')), false, 'nothing to recover')
    return took
  }
}

test('the journal does not grow with the number of changes', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: '/bin/sleep', args: ['100000'], name: 'app' })
  const file = path.join(pm2.home, 'pm2d.journal')
  for (let round = 0; round < 300; round++) await pm2.restart('app')
  const size = fs.statSync(file).size
  assert.ok(size < 600_000, `${size} bytes after 300 restarts`)
  const before = await table(pm2)
  await killDaemon(pm2)
  assert.deepEqual(await table(pm2), before)
})
