'use strict'

// The agent in real apps, over a real channel of `child_process`.

const assert = require('node:assert/strict')
const { fork } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { EventEmitter, once } = require('node:events')
const { test } = require('node:test')

const agent = path.join(__dirname, '..', 'lib', 'agent', 'index.js')

/** Runs an app under the agent until it ends, or has said what is waited for; what it sent, printed and ended with. */
async function run(t, source, { name = 'app.js', env = {}, execArgv = [], argv = [], until = () => false } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const script = path.join(folder, name)
  fs.writeFileSync(script, source)
  const { NODE_OPTIONS, ...inherited } = process.env
  const child = fork(script, argv, {
    execArgv: [...execArgv, '--require', agent],
    env: { ...inherited, pm_exec_path: script, exec_mode: 'fork_mode', pmx: 'true', ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
    timeout: 20_000,
  })
  const messages = []
  const out = { stdout: '', stderr: '' }
  child.on('message', (message) => {
    messages.push(message)
    if (until(message)) child.kill('SIGKILL')
  })
  child.stdout.on('data', (chunk) => (out.stdout += chunk))
  child.stderr.on('data', (chunk) => (out.stderr += chunk))
  const [code, signal] = await once(child, 'close')
  return { script, messages, exceptions: messages.filter((m) => m?.type === 'process:exception'), code, signal, ...out }
}

test('an app under the agent: version sent, title set, nothing inherited, ends by itself', async (t) => {
  const app = await run(
    t,
    `
    console.log(JSON.stringify([process.title, process.execArgv, require.main.filename, process.argv.slice(2),
      process.listenerCount('message'), process.listenerCount('disconnect'), Object.keys(process.env).filter((k) => /agent/i.test(k))]));`,
    { argv: ['a'], execArgv: ['--no-warnings'] },
  )
  const [title, execArgv, main, argv, ...counts] = JSON.parse(app.stdout)
  assert.ok(`node ${app.script}`.startsWith(title) && title.startsWith('node /'), title)
  assert.deepEqual(execArgv, ['--no-warnings'])
  assert.equal(main, app.script)
  assert.deepEqual(argv, ['a'])
  // `npm test` has a variable of its own with "agent" in its name.
  const [messages, disconnects, names] = counts
  assert.deepEqual([messages, disconnects, names.filter((name) => !(name in process.env))], [0, 0, []])
  assert.deepEqual(app.messages, [{ node_version: process.versions.node }])
  assert.deepEqual([app.code, app.stderr], [0, ''])
})

test('an uncaught exception is published, then Node deals with it as ever', async (t) => {
  const app = await run(
    t,
    `function boom() {
  throw Object.assign(new TypeError('my exception'), { code: 'E_MINE', more: {} });
}
setTimeout(boom, 1);`,
  )
  assert.equal(app.code, 1)
  assert.match(app.stderr, /TypeError: my exception\n {4}at .*boom/)
  assert.equal(app.exceptions.length, 1)
  const { stack, ...data } = app.exceptions[0].data
  assert.deepEqual(data, {
    message: 'my exception',
    name: 'TypeError',
    code: 'E_MINE',
    callsite: `${app.script}:2`,
    context: "throw Object.assign(new TypeError('my exception'), { code: 'E_MINE', more: {} });",
  })
  assert.match(stack, /^TypeError: my exception\n/)
})

test('an ES module works as main, and its exceptions are located', async (t) => {
  const app = await run(
    t,
    `import fs from 'node:fs';
console.log(typeof fs.readFileSync);
setImmediate(() => { throw new Error('esm'); });`,
    { name: 'app.mjs' },
  )
  assert.equal(app.stdout, 'function\n')
  assert.equal(app.code, 1)
  assert.equal(app.exceptions[0].data.callsite, `${app.script}:3`)
})

test("the app's own handler decides; the event is still published", async (t) => {
  const app = await run(
    t,
    `
    process.on('uncaughtException', (error) => { console.log('mine', error.message); process.exitCode = 7; });
    setImmediate(() => { throw new Error('x'); });`,
  )
  assert.deepEqual([app.stdout, app.stderr, app.code], ['mine x\n', '', 7])
  assert.equal(app.exceptions.length, 1)
})

test('anything can be thrown', async (t) => {
  for (const [thrown, message] of [
    ['null', 'No error but uncaughtException was caught!'],
    ['undefined', 'No error but uncaughtException was caught!'],
    ['"text"', 'text'],
    ['42', '42'],
    ['Symbol("s")', 'Symbol(s)'],
    ['{ a: 1 }', '{ a: 1 }'],
    ['{ get message() { throw 1; } }', /message/],
    ['new Proxy({}, { get() { throw 1; }, ownKeys() { throw 2; } })', undefined],
    ['Object.assign(new Error("big".repeat(1e6)), { self: globalThis })', /^bigbig/],
  ]) {
    const app = await run(t, `setImmediate(() => { throw ${thrown}; });`)
    assert.notEqual(app.code, 0, thrown)
    if (message === undefined) continue
    assert.equal(app.exceptions.length, 1, thrown)
    const { data } = app.exceptions[0]
    if (typeof message === 'string') assert.equal(data.message, message, thrown)
    else assert.match(data.message, message, thrown)
    assert.ok(data.stack.length <= 64 * 1024)
  }
})

test('an unhandled rejection is published and printed, and the app lives on', async (t) => {
  const app = await run(
    t,
    `
    Promise.reject(new Error('rejected'));
    setTimeout(() => { console.log('alive'); process.exit(0); }, 50);`,
  )
  assert.deepEqual([app.stdout, app.code], ['alive\n', 0])
  assert.match(app.stderr, /Unhandled promise rejection: Error: rejected\n {4}at /)
  assert.equal(app.exceptions[0].data.message, 'rejected')
})

test('an app with its own listener for rejections, or its own flag, decides alone', async (t) => {
  const own = await run(
    t,
    `
    process.on('unhandledRejection', (reason) => console.log('mine', reason.message));
    Promise.reject(new Error('rejected'));`,
  )
  assert.deepEqual([own.stdout, own.stderr, own.code], ['mine rejected\n', '', 0])
  assert.equal(own.exceptions.length, 1)
  const strict = await run(t, "Promise.reject(new Error('rejected'));", { execArgv: ['--unhandled-rejections=throw'] })
  assert.equal(strict.code, 1)
  assert.equal(strict.exceptions.length, 1)
})

test('pmx false: nothing is watched in fork mode, still in cluster mode', async (t) => {
  const source = "setImmediate(() => { throw new Error('x'); });"
  const fork = await run(t, source, { env: { pmx: 'false' } })
  assert.deepEqual([fork.code, fork.exceptions.length, fork.messages.length], [1, 0, 1])
  const cluster = await run(t, source, { env: { pmx: 'false', exec_mode: 'cluster_mode' } })
  assert.equal(cluster.exceptions.length, 1)
})

test('the title may be chosen', async (t) => {
  const app = await run(t, 'console.log(process.title)', { env: { PROCESS_TITLE: 'mine' } })
  assert.equal(app.stdout, 'mine\n')
})

test('children, workers and threads of the app do not carry the agent', async (t) => {
  const app = await run(
    t,
    `
    const { fork, spawnSync } = require('node:child_process');
    const { Worker, isMainThread } = require('node:worker_threads');
    if (process.argv[2] === 'child') {
      process.send({ execArgv: process.execArgv, monitors: process.listenerCount('uncaughtExceptionMonitor') });
      process.disconnect();
    } else {
      const child = fork(__filename, ['child'], { env: { ...process.env, PROCESS_TITLE: 'not-me' } });
      child.on('message', (message) => console.log(JSON.stringify(message)));
      child.on('exit', () => {
        const worker = new Worker('const { parentPort } = require("node:worker_threads"); parentPort.postMessage(process.listenerCount("uncaughtExceptionMonitor"))', { eval: true });
        worker.on('message', (count) => console.log('worker', count));
      });
    }`,
  )
  assert.equal(app.stderr, '')
  assert.equal(app.stdout, '{"execArgv":[],"monitors":0}\nworker 0\n')
  assert.equal(app.code, 0)
})

test('an app that disconnects, or whose daemon is gone, lives on', async (t) => {
  const app = await run(
    t,
    `
    process.disconnect();
    process.on('uncaughtException', () => { console.log('handled'); });
    setImmediate(() => { throw new Error('x'); });
    setTimeout(() => console.log('end'), 20);`,
  )
  assert.deepEqual([app.stdout, app.code], ['handled\nend\n', 0])
})

test('figures are told, of requests once there are any', async (t) => {
  const busy = (message) => message?.data?.HTTP?.value > 0 && message.data['HTTP Mean Latency'].value >= 19
  const app = await run(
    t,
    `
    const http = require('node:http')
    const server = http.createServer((_request, response) => setTimeout(() => response.end(), 20))
    process.on('message', () => {})
    server.listen(0, '127.0.0.1', () => setInterval(() => http.get({ port: server.address().port }, (a) => a.resume()), 1200))`,
    { until: busy },
  )
  const { data } = app.messages.at(-1)
  const numbers = Object.values(data).map((metric) => Number(metric.value))
  assert.ok(
    numbers.every((value) => value >= 0 && Number.isFinite(value)),
    JSON.stringify(data),
  )
  assert.ok(Number(data['Used Heap Size'].value) <= Number(data['Heap Size'].value))
  assert.ok(data['Active handles'].value >= 1, 'the server')
  const rest = await run(t, 'setInterval(() => {}, 1e6)', { until: (message) => message.type === 'axm:monitor' })
  const named = Object.keys(rest.messages.at(-1).data)
  assert.deepEqual(named, Object.keys(data).slice(3), 'none of requests')
})

test('figures keep no app alive, and are none where none are wanted', async (t) => {
  const source = `
    const loaded = () => Object.keys(require.cache).some((file) => /agent.metrics/.test(file))
    setTimeout(() => console.log(loaded()), 700)`
  for (const [pmx, loaded] of [
    ['true', 'true\n'],
    ['false', 'false\n'],
  ]) {
    const app = await run(t, source, { env: { pmx } })
    assert.deepEqual([app.code, app.stdout, app.stderr], [0, loaded, ''])
  }
})

/** Requests of one second after the other, as an app's server would tell of them. */
function requestsOf() {
  const { Requests } = require('../lib/agent/metrics.js')
  const began = require('node:diagnostics_channel').channel('http.server.request.start')
  const requests = new Requests()
  let now = requests.since
  const second = (list, milliseconds = 1000) => {
    for (const response of list) began.publish({ response })
    for (const response of list) response?.emit('finish')
    now += milliseconds
    return requests.metrics(now)
  }
  return { requests, began, second }
}

const responses = (length) => Array.from({ length }, () => new EventEmitter())

test('requests are counted, the first of each second are timed, and nothing is thrown into the app', () => {
  const { requests, began, second } = requestsOf()
  const answered = responses(500)
  assert.equal(second(answered).HTTP.value, 30_000)
  assert.equal(answered.filter((response) => response.listenerCount('finish') > 0).length, 0)
  assert.equal(requests.times.flat().length, 20)
  assert.equal(second([null]).HTTP.value, 15_030, 'a minute of the mean of both seconds')
  for (let count = 0; count < 60; count++) second([])
  assert.deepEqual(
    Object.values(second([])).map((metric) => metric.value),
    [0, 0, 0],
    'a minute later',
  )
  requests.end()
  assert.equal(began.hasSubscribers, false)
})

test('a busy server is listened to for a moment, then left alone for a while', async () => {
  const { ENOUGH, PAUSE } = require('../lib/agent/metrics.js')
  const { requests, began, second } = requestsOf()
  let others = 0
  // Of another subscriber: only Node 18 passes it over.
  const other = () => (others += 1)
  began.subscribe(other)
  const busy = second(responses(3 * ENOUGH)).HTTP.value
  assert.equal(others, 3 * ENOUGH, 'nobody else is passed over')
  began.unsubscribe(other)
  await new Promise(setImmediate)
  assert.equal(began.hasSubscribers, false)
  assert.equal(requests.count, ENOUGH)
  assert.ok(busy > 60 * ENOUGH, `${busy}: these took less than the second`)
  assert.ok(Math.abs(second(responses(10)).HTTP.value - busy) < 1, 'as it was')
  second([], PAUSE)
  assert.ok(began.hasSubscribers)
  assert.ok(second(responses(3)).HTTP.value < busy)
  assert.equal(requests.count, 0, 'of the next second')
  requests.end()
})
