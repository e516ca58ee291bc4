'use strict'

// How calls behave as calls: errback or promise, connecting by itself, several at once, a daemon of one's own.

const assert = require('node:assert/strict')
const { execFile, spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const { fixture, freshClient, freshHome, isAlive, pidsWithEnv, root, waitFor } = require('../support/home.js')

test('a callback gets null and the result; without one there is a promise', async (t) => {
  const pm2 = freshClient(t)
  const args = await new Promise((resolve) => pm2.connect((...given) => resolve(given)))
  assert.equal(args[0], null)
  assert.equal(args[1].pm2_home, pm2.home)
  assert.equal(args[1].new_pm2_instance, true)
  assert.deepEqual(await pm2.list(), [])
  await assert.rejects(
    pm2.stop('nobody'),
    (error) =>
      error instanceof Error &&
      error.message === 'process or namespace not found' &&
      error.code === 'PROCESS_NOT_FOUND',
  )
})

test('a dropped promise is silent', async (t) => {
  const home = freshHome(t)
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [
      '-e',
      `const pm2 = require(${JSON.stringify(root)}); pm2.stop('nobody'); setTimeout(() => pm2.killDaemon(() => pm2.disconnect(() => console.log('end'))), 300)`,
    ],
    { env: { ...process.env, PM2_HOME: home } },
  )
  assert.equal(stdout, 'end\n')
  assert.equal(stderr, '')
})

test('the first calls of one tick share one daemon (Q31)', async (t) => {
  const pm2 = freshClient(t)
  const answers = await Promise.all([pm2.list(), pm2.ping(), pm2.getVersion(), pm2.list()])
  assert.deepEqual(answers, [[], { msg: 'pong' }, '7.0.4', []])
  const daemons = pidsWithEnv(`PM2_HOME=${pm2.home}`).filter((pid) =>
    fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('pm2d'),
  )
  assert.equal(daemons.length, 2, 'one keeper and one daemon')
})

test('ten processes that start at once share one daemon', async (t) => {
  const home = freshHome(t)
  const script = `const pm2 = require(${JSON.stringify(root)}); pm2.connect((e) => { if (e) throw e; pm2.list((e, l) => { if (e) throw e; console.log(l.length); pm2.disconnect() }) })`
  const runs = Array.from({ length: 10 }, () =>
    promisify(execFile)(process.execPath, ['-e', script], { env: { ...process.env, PM2_HOME: home } }),
  )
  for (const { stdout } of await Promise.all(runs)) assert.equal(stdout, '0\n')
  const daemons = pidsWithEnv(`PM2_HOME=${home}`).filter((pid) =>
    fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('pm2d'),
  )
  assert.equal(daemons.length, 2, 'one keeper and one daemon')
  const { custom } = require(root)
  const pm2 = new custom({ pm2_home: home })
  await pm2.killDaemon()
  await waitFor(() => pidsWithEnv(`PM2_HOME=${home}`).length === 0)
})

test('disconnect lets the program end by itself; killDaemon leaves nothing', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js') })
  assert.deepEqual(await pm2.killDaemon(), { success: true })
  assert.equal(isAlive(app.pid), false)
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${pm2.home}`), [])
  for (const file of ['rpc.sock', 'pub.sock', 'pm2.pid'])
    assert.equal(fs.existsSync(path.join(pm2.home, file)), false, file)
  assert.deepEqual(await pm2.killDaemon(), { success: true }, 'nothing to kill is a success, and starts nothing (Q36)')
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${pm2.home}`), [])
})

test('sockets and home are for their owner only', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const mode = (file) => fs.statSync(path.join(pm2.home, file)).mode & 0o777
  assert.deepEqual([mode('.'), mode('rpc.sock'), mode('pub.sock')], [0o700, 0o600, 0o600])
})

test('a callback that throws is an uncaught exception, and the connection goes on', async (t) => {
  const home = freshHome(t)
  const script = `
    const pm2 = require(${JSON.stringify(root)})
    process.on('uncaughtException', (error) => { console.log('caught', error.message); pm2.ping((e, answer) => { console.log(answer.msg); pm2.killDaemon(() => pm2.disconnect()) }) })
    pm2.list(() => { throw new Error('mine') })`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], {
    env: { ...process.env, PM2_HOME: home },
  })
  assert.equal(stdout, 'caught mine\npong\n')
})

test('connect(true): daemon and apps end with the program, also by kill -9', async (t) => {
  const home = freshHome(t)
  const script = `
    const pm2 = require(${JSON.stringify(root)})
    pm2.connect(true, (error) => { if (error) throw error
      pm2.start({ script: ${JSON.stringify(fixture('forever.js'))} }, (error, apps) => { if (error) throw error; console.log(apps[0].pid) }) })`
  const child = spawn(process.execPath, ['-e', script], {
    env: { ...process.env, PM2_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const pid = await new Promise((resolve, reject) => {
    child.stdout.once('data', (text) => resolve(Number(text)))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
  assert.ok(isAlive(pid))
  child.kill('SIGKILL')
  await waitFor(() => !isAlive(pid) && pidsWithEnv(`PM2_HOME=${home}`).length === 0, 'nothing is left')
})

test('two clients of two homes do not meet', async (t) => {
  const [one, two] = [freshClient(t), freshClient(t)]
  await one.start({ script: fixture('forever.js'), name: 'one' })
  assert.deepEqual((await two.list()).length, 0)
  await one.dump()
  assert.ok(fs.existsSync(path.join(one.home, 'dump.pm2')))
  assert.equal(fs.existsSync(path.join(two.home, 'dump.pm2')), false)
})

test('trigger calls an action of the app and brings its answer', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('action.js'), name: 'app' })
  await waitFor(async () => (await pm2.describe('app'))[0].pm2_env.axm_actions.length > 0)
  const [reply] = await pm2.trigger('app', 'hello')
  assert.deepEqual(reply.data.return, { world: 1 })
  assert.equal(reply.process.name, 'app')
})

test('a message reaches the app, and its answer the bus; stdin too', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const bus = await pm2.launchBus()
  const heard = []
  bus.on('process:msg', (packet) => heard.push(packet))
  const [app] = await pm2.start({ script: fixture('messages.js'), name: 'app' })
  await waitFor(() => heard.some((packet) => packet.raw === 'plain string'))
  await pm2.sendDataToProcessId(app.pm_id, { type: 'process:msg', topic: 't', data: { a: 1 } })
  await pm2.sendDataToProcessId({ id: app.pm_id, type: 'process:msg', topic: 't', data: { b: 2 } })
  const answers = () => heard.filter((packet) => packet.data?.heard).map((packet) => packet.data.heard.data)
  await waitFor(() => answers().length === 2)
  assert.deepEqual(answers(), [{ a: 1 }, { b: 2 }])
  await pm2.sendLineToStdin(app.pm_id, 'abc')
  await waitFor(() => fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('stdin: abc\n'))
})

test('a message of two megabytes passes both ways', async (t) => {
  const pm2 = freshClient(t)
  await pm2.connect()
  const bus = await pm2.launchBus()
  const answer = new Promise((resolve) =>
    bus.on('process:msg', (packet) => packet.data?.heard && resolve(packet.data.heard)),
  )
  const [app] = await pm2.start({ script: fixture('messages.js'), name: 'app' })
  const text = 'ü'.repeat(1 << 20)
  await pm2.sendDataToProcessId(app.pm_id, { type: 'process:msg', topic: 't', data: { text } })
  assert.equal((await answer).data.text, text)
})

test('a list and what the wire says of it are the same, key by key', async (t) => {
  const pm2 = freshClient(t)
  const common = { script: fixture('forever.js'), exec_mode: 'fork' }
  await pm2.start({ ...common, name: 'many', instances: 4, args: ['a', 'b'], env: { MINE: 'x,"y"', NUMBER: 3 } })
  await pm2.start({ ...common, name: 'other', env: { MINE: 'z' } })
  await pm2.stop(1)
  await pm2.restart(2)
  const plain = async () => pm2.Client.executeRemote('getMonitorData', {})
  const still = (list) => JSON.stringify(list.map(({ monit, ...rest }) => rest))
  // Twice: the second one is made of what was remembered of the first.
  for (const turn of [1, 2]) {
    // Apps say their version of Node when they are up: until then two looks may differ.
    const settled = ({ pm2_env }) => pm2_env.status !== 'online' || pm2_env.node_version
    await waitFor(async () => (await pm2.list()).every(settled))
    const list = await pm2.list()
    assert.equal(list.length, 5)
    assert.equal(still(list), still(await plain()), `turn ${turn}`)
    for (const { monit } of list) assert.deepEqual(Object.keys(monit), ['memory', 'cpu'])
    const [one] = await pm2.describe('other')
    assert.equal(still([one]), still([list.at(-1)]))
    assert.equal((await pm2.describe(2))[0].pm_id, 2)
    const many = list.filter(({ name }) => name === 'many')
    assert.deepEqual(
      await pm2.getPID('many'),
      many.map(({ pid }) => pid),
    )
    process.env.A_CHANGED_VARIABLE = `turn ${turn}`
    t.after(() => delete process.env.A_CHANGED_VARIABLE)
    await pm2.restart('many', { updateEnv: true })
  }
})
