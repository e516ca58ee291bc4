'use strict'

const assert = require('node:assert/strict')
const { execFileSync, spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { once } = require('node:events')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { instance } = require('./support/fake_native.js')

const root = path.join(__dirname, '..')
const refusal = (message, more = {}) => ({ error: { code: 'X', message, ...more } })

/** Runs a program in a Node of its own, with a fake addon. */
function program(source, args = []) {
  const prelude = `const { fakeNative } = require(${JSON.stringify(path.join(__dirname, 'support', 'fake_native.js'))});
    const pm2 = require(${JSON.stringify(root)});`
  return spawnSync(process.execPath, [...args, '-e', prelude + source], { encoding: 'utf8', timeout: 20_000 })
}

test('the module is one instance of a class that can be patched and extended', () => {
  const pm2 = require('../index.js')
  assert.equal(pm2.custom, Object.getPrototypeOf(pm2).constructor)
  assert.equal(pm2.custom.name, 'API')
  assert.equal('default' in pm2, false)
  for (const key of [
    'daemon_mode',
    'pm2_home',
    'public_key',
    'secret_key',
    'machine_name',
    'cwd',
    '_conf',
    'Client',
    'pm2_configuration',
    'gl_interact_infos',
    'gl_is_km_linked',
    'gl_retry',
    'custom',
  ]) {
    assert.ok(Object.keys(pm2).includes(key), key)
  }
  assert.equal(pm2.daemon_mode, true)
  assert.equal(pm2.cwd, process.cwd())
  assert.equal(process.env.PM2_PROGRAMMATIC, 'true')
  const mine = new (class extends pm2.custom {
    hello() {
      return this.pm2_home
    }
  })({ pm2_home: '/tmp/x' })
  assert.equal(mine.hello(), '/tmp/x')
  assert.equal('custom' in mine, false)
  assert.equal(mine._conf.DAEMON_RPC_PORT, '/tmp/x/rpc.sock')
  assert.equal(mine.Client.rpc_socket_file, '/tmp/x/rpc.sock')
})

test('every method of the contract is there, with its length', () => {
  const API = require('../index.js').custom
  const contract = `connect(2) disconnect(1) close(1) destroy(1) killDaemon(1) kill(1) launchModules(1) launchAll(2)
    launchBus(1) exitCli(1) update(1) deepUpdate(1) start(3) stop(2) restart(3) reload(3) delete(3) reset(2) scale(3)
    actionFromJson(5) list(2) describe(2) getPID(2) getProcessIdByName(2) getVersion(1) ping(1) env(2) report(0)
    jlist(1) slist(1) speedList(2) sendSignalToProcessName(3) sendSignalToProcessId(3) sendDataToProcessId(3)
    sendLineToStdin(4) msgProcess(2) trigger(4) attach(3) inspect(2) dump(2) autodump(1) clearDump(1) resurrect(1)
    flush(2) reloadLogs(1) logrotate(2) streamLogs(6) printLogs(5) startup(3) uninstallStartup(3) get(2) set(3)
    multiset(2) unset(2) conf(3) install(3) uninstall(2) package(2) publish(3) generateModuleSample(2) deleteModule(2)
    serve(5) autoinstall(1) profile(3) dashboard(1) monit(1) boilerplate(1) generateSample(1) deploy(3) remote(3)
    remoteV2(3) generateDockerfile(2) dockerMode(3) pullAndRestart(2) pullAndReload(2) pullCommitId(3) backward(2)
    forward(2) _pull(2) _pullCommitId(2) linkManagement(5) link(2) unlink(1) agentInfos(1) killAgent(1) monitorState(3)
    openDashboard(0) clearSetup(2) minimumSetup(2) _startScript(3) _startJson(5) _operate(4) _handleAttributeUpdate(1)`
  // `multiset` takes one text and a callback, `_operate` options and a callback: 2 and 4 as in the contract.
  for (const [, name, length] of contract.matchAll(/(\w+)\((\d)\)/g)) {
    assert.equal(typeof API.prototype[name], 'function', name)
    assert.equal(API.prototype[name].length, Number(length), `${name}.length`)
  }
  for (const absent of ['unstartup', 'web', 'interact', 'snapshot']) assert.equal(API.prototype[absent], undefined)
})

test('the constructor refuses a home together with independent, and makes homes', () => {
  const API = require('../index.js').custom
  assert.throws(() => new API({ pm2_home: '/tmp/x', independent: true }), /pm2_home and independent/)
  const independent = new API({ independent: true })
  assert.match(independent.pm2_home, /^\/tmp\/[0-9a-f]{16}$/)
  assert.equal(independent.daemon_mode, false)
  assert.equal(new API({ cwd: 'x' }).cwd, path.resolve('x'))
})

test('errback: null and the result, once, not at once; the method gives undefined', async (t) => {
  const { pm2 } = instance(t, () => ({ ok: [{ pm_id: 0 }] }))
  let calls = 0
  const answer = await new Promise((resolve) => {
    const returned = pm2.list((...args) => {
      calls += 1
      resolve(args)
    })
    assert.equal(returned, undefined)
    assert.equal(calls, 0)
  })
  assert.deepEqual(answer, [null, [{ pm_id: 0 }]])
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(calls, 1)
  assert.deepEqual(await promisify(pm2.list.bind(pm2))(), [{ pm_id: 0 }])
})

test('promise: resolves with the result, rejects with an Error that has code and stack', async (t) => {
  const { pm2 } = instance(t, ({ action }) =>
    action === 'list' ? { ok: [1] } : refusal('process or namespace not found', { code: 'PROCESS_NOT_FOUND' }),
  )
  assert.deepEqual(await pm2.list(), [1])
  await assert.rejects(pm2.stop('x'), (error) => {
    assert.ok(error instanceof Error)
    assert.equal(error.message, 'process or namespace not found')
    assert.equal(error.code, 'PROCESS_NOT_FOUND')
    return true
  })
  const [error, more] = await new Promise((resolve) => pm2.stop('x', (...args) => resolve(args)))
  assert.equal(error.message, 'process or namespace not found')
  assert.equal(more, undefined)
})

test("the daemon's stack replaces the error's", async (t) => {
  const { pm2 } = instance(t, () => refusal('no', { stack: 'Error: no\n    at daemon' }))
  await assert.rejects(pm2.list(), (error) => error.stack === 'Error: no\n    at daemon')
})

test('a start that failed in part: array of errors and what did start', async (t) => {
  const failure = refusal('a', { errors: [{ message: 'a', code: 'A' }, { message: 'b' }], partial: [{ pm_id: 3 }] })
  const { pm2 } = instance(t, () => failure)
  const [errors, started] = await new Promise((resolve) => pm2.start([{ script: 'x' }], (...args) => resolve(args)))
  assert.deepEqual(
    errors.map((error) => [error instanceof Error, error.message]),
    [
      [true, 'a'],
      [true, 'b'],
    ],
  )
  assert.deepEqual(started, [{ pm_id: 3 }])
  await assert.rejects(pm2.start({}), (error) => error.message === 'a, b' && error.partial[0].pm_id === 3)
})

test('a call without callback whose promise is dropped fails silently', () => {
  const { status, stderr, stdout } = program(`
    fakeNative(() => ({ error: { message: 'no' } }));
    pm2.stop('x'); pm2.start(7); pm2.start('missing.config.js'); pm2.dashboard(); pm2.sendDataToProcessId({});
    setTimeout(() => pm2.disconnect(() => console.log('end')), 50);`)
  assert.deepEqual([status, stderr, stdout], [0, '', 'end\n'])
})

test('a callback that throws is an uncaught exception, and the connection goes on', () => {
  const { stdout, status, stderr } = program(`
    fakeNative(({ action }) => ({ ok: action }));
    process.on('uncaughtException', (error) => {
      console.log(error.message);
      pm2.ping((err, answer) => { console.log(err, answer); pm2.disconnect(); });
    });
    process.on('unhandledRejection', () => console.log('rejection'));
    pm2.list(() => { throw new Error('mine'); });`)
  assert.deepEqual([stdout, stderr, status], ['mine\nnull ping\n', '', 0])
})

test('what stays alive: an open connection until disconnect, nothing before the first call', () => {
  const idle = program('')
  assert.deepEqual([idle.status, idle.stderr], [0, ''])
  const killed = program('fakeNative(() => ({ ok: { success: true } })); pm2.connect(() => pm2.killDaemon(() => {}));')
  assert.equal(killed.status, 0)
  const open = program(`fakeNative(() => ({ ok: [] }));
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    pm2.list(() => {
      console.log(timers());
      pm2.disconnect(() => console.log(timers()));
    });`)
  assert.deepEqual([open.stdout, open.status], ['1\n0\n', 0])
})

test('disconnect: its two refusals, and success closes buses too', async (t) => {
  const { pm2, fake } = instance(t, () => ({ ok: {} }))
  await assert.rejects(pm2.disconnect(), { message: 'SUB connection to PM2 is not launched' })
  await pm2.connect()
  const opening = pm2.launchBus()
  fake.subscriptions[0].send([':connect', null])
  await opening
  const answer = await new Promise((resolve) => pm2.disconnect((...args) => resolve(args)))
  assert.deepEqual(answer, [null])
  assert.equal(fake.disconnects, 1)
  assert.equal(fake.subscriptions[0].closed, true)
  await assert.rejects(pm2.disconnect(), { message: 'RPC already being closed' })
  await pm2.list()
  await pm2.disconnect()
})

test("killDaemon: a bus still hears the daemon's last words, then it is closed", async (t) => {
  const { pm2, fake } = instance(t, () => ({ ok: { success: true } }))
  const opening = pm2.launchBus()
  const [socket] = fake.subscriptions
  socket.send([':connect', null])
  const bus = await opening
  const heard = []
  bus.on('pm2:kill', () => heard.push('killed'))
  const killed = pm2.killDaemon()
  setImmediate(() => socket.send(['pm2:kill', {}], [':close', null]))
  assert.deepEqual(await killed, { success: true })
  assert.deepEqual(heard, ['killed'])
  assert.equal(socket.closed, true)
})

test('connect(true) sets the mode before the addon is told; the client follows', async (t) => {
  const { pm2, fake } = instance(t, () => ({ ok: { new_pm2_instance: true } }))
  const answer = await new Promise((resolve) => pm2.connect(true, (...args) => resolve(args)))
  assert.deepEqual(answer, [null, { new_pm2_instance: true }])
  assert.equal(pm2.daemon_mode, false)
  assert.equal(pm2.Client.daemon_mode, false)
  assert.equal(fake.clients[0].daemonMode, false)
  assert.equal(fake.clients[0].home, '/tmp/no-such-home')
  assert.ok(fake.clients[0].agent.endsWith(path.join('lib', 'agent')))
  assert.ok(pm2.start_timer instanceof Date)
  await pm2.connect()
  assert.equal(fake.clients.length, 1)
})

test('a missing daemon executable is told only when it is needed', async (t) => {
  process.env.PM2_RS_DAEMON = '/no/such/pm2d'
  t.after(() => delete process.env.PM2_RS_DAEMON)
  const { pm2 } = instance(t, ({ action }) =>
    action === 'list' ? { ok: [] } : refusal('cannot launch', { code: 'DAEMON_NOT_LAUNCHED' }),
  )
  assert.deepEqual(await pm2.list(), [])
  await assert.rejects(pm2.connect(), { code: 'DAEMON_NOT_FOUND', message: /\/no\/such\/pm2d \(from PM2_RS_DAEMON\)/ })
})

test('start: all four forms, and what it refuses', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'eco.config.js')
  fs.writeFileSync(file, 'module.exports = { apps: [{ script: "x.js" }] }')
  const { pm2, last } = instance(t, () => ({ ok: [] }), { pm2_home: '/tmp/no-such-home', cwd: folder })
  process.env.MARK_OF_TEST = '1'
  t.after(() => delete process.env.MARK_OF_TEST)
  await pm2.start('app.js', { name: 'api' })
  assert.equal(last().action, 'start')
  assert.equal(last().target, 'app.js')
  assert.deepEqual(last().options, { name: 'api' })
  assert.equal(last().context.cwd, process.cwd())
  assert.equal(last().context.instanceCwd, folder)
  assert.equal(last().context.env.MARK_OF_TEST, '1')
  assert.equal(last().context.env.PM2_PROGRAMMATIC, 'true')
  await pm2.start({ script: 'app.js' }, { only: 'x' })
  assert.deepEqual([last().target, last().options], [{ config: { script: 'app.js' } }, { only: 'x' }])
  await pm2.start([{ script: 'app.js' }], () => {})
  await pm2.list()
  await pm2.start('eco.config.js', { env: 'production' })
  assert.deepEqual(last().target, { config: { apps: [{ script: 'x.js' }] }, file })
  assert.deepEqual(last().options, { env: 'production' })
  await pm2.start('eco.json')
  assert.equal(last().target, 'eco.json')
  await pm2.start('app.js', 'eco.json')
  assert.deepEqual(last().options, {})
  await assert.rejects(pm2.start(7), {
    message: 'Expect "script" to be a typeof [object String], but now is [object Number]',
  })
  await assert.rejects(pm2.start('missing.config.js'), { code: 'ENOENT', path: path.join(folder, 'missing.config.js') })
})

test('start reads its options before it returns', async (t) => {
  const { pm2, fake } = instance(t, () => ({ ok: [] }))
  const app = { script: 'a.js' }
  const first = pm2.start(app)
  app.script = 'b.js'
  await Promise.all([first, pm2.start(app)])
  assert.deepEqual(
    fake.actions.map(({ target }) => target.config.script),
    ['a.js', 'b.js'],
  )
})

test('targets: names, ids, files that are names, nonsense', async (t) => {
  const { pm2, last } = instance(t, () => ({ ok: [] }))
  for (const [target, sent] of [
    ['api', 'api'],
    [0, 0],
    [undefined, null],
    [null, null],
    [{}, null],
    [[], null],
    [{ name: 'x' }, { config: { name: 'x' } }],
    ['x.config.js', 'x.config.js'],
  ]) {
    await pm2.stop(target)
    assert.deepEqual([last().action, last().target], ['stop', sent])
  }
  await pm2.reload({ script: 'x' })
  assert.deepEqual([last().action, last().target], ['reload', { config: { script: 'x' } }])
  await pm2.restart('x', { updateEnv: true })
  assert.deepEqual(last().options, { updateEnv: true })
  await pm2.delete('[{"name":"x"}]', 'pipe')
  assert.deepEqual([last().action, last().target], ['delete', { config: [{ name: 'x' }] }])
  await assert.rejects(pm2.delete('{', 'pipe'), SyntaxError)
  await pm2._operate('restartProcessId', 'x', {})
  assert.equal(last().action, 'restart')
  await pm2.actionFromJson('deleteProcessId', { name: 'x' }, {}, 'file', () => {})
  await pm2.list()
})

test('the forms of the other methods', async (t) => {
  const { pm2, last } = instance(t, () => ({ ok: { success: true } }))
  const sent = async (call) => {
    await call
    const { context, ...rest } = last()
    return rest
  }
  const withCallback = async (call) => {
    const answer = await new Promise((resolve) => call((...args) => resolve(args)))
    assert.deepEqual(answer, [null, { success: true }])
    const { context, ...rest } = last()
    return rest
  }
  const packet = { topic: 't', data: 1 }
  assert.deepEqual(await sent(pm2.sendDataToProcessId(1, packet)), { action: 'sendDataToProcessId', id: 1, packet })
  assert.deepEqual(await sent(pm2.sendDataToProcessId({ id: 1, ...packet })), {
    action: 'sendDataToProcessId',
    packet: { id: 1, ...packet },
  })
  assert.deepEqual(await withCallback((cb) => pm2.sendDataToProcessId({ id: 1, ...packet }, cb)), {
    action: 'sendDataToProcessId',
    packet: { id: 1, ...packet },
  })
  assert.deepEqual(packet, { topic: 't', data: 1 })
  assert.deepEqual(await withCallback((cb) => pm2.sendLineToStdin(0, 'x', cb)), {
    action: 'sendLineToStdin',
    id: 0,
    line: 'x',
  })
  assert.deepEqual(await withCallback((cb) => pm2.sendLineToStdin(0, 'x', '\r', cb)), {
    action: 'sendLineToStdin',
    id: 0,
    line: 'x',
    separator: '\r',
  })
  assert.deepEqual(await withCallback((cb) => pm2.flush(cb)), { action: 'flush', target: null })
  assert.deepEqual(await sent(pm2.flush(0)), { action: 'flush', target: 0 })
  assert.deepEqual(await sent(pm2.flush('all')), { action: 'flush', target: 'all' })
  assert.deepEqual(await withCallback((cb) => pm2.dump(cb)), { action: 'dump', force: false })
  assert.deepEqual(await withCallback((cb) => pm2.dump(true, cb)), { action: 'dump', force: true })
  assert.deepEqual(await withCallback((cb) => pm2.getPID(cb)), { action: 'getPid', name: null })
  assert.deepEqual(await withCallback((cb) => pm2.trigger('x', 'act', cb)), {
    action: 'trigger',
    target: 'x',
    name: 'act',
  })
  assert.deepEqual(await withCallback((cb) => pm2.trigger('x', 'act', { a: 1 }, cb)), {
    action: 'trigger',
    target: 'x',
    name: 'act',
    params: { a: 1 },
  })
  assert.deepEqual(await withCallback((cb) => pm2.inspect('x', cb)), {
    action: 'trigger',
    target: 'x',
    name: 'internal:inspect',
  })
  assert.deepEqual(await withCallback((cb) => pm2.set('a:b', 1, cb)), { action: 'set', key: 'a:b', value: 1 })
  assert.deepEqual(await withCallback((cb) => pm2.conf('a', cb)), { action: 'get', key: 'a' })
  assert.deepEqual(await withCallback((cb) => pm2.get(cb)), { action: 'get' })
  assert.deepEqual(await withCallback((cb) => pm2.list({}, cb)), { action: 'list' })
  assert.deepEqual(await withCallback((cb) => pm2.scale('x', '-1', cb)), { action: 'scale', name: 'x', count: '-1' })
  assert.deepEqual(await withCallback((cb) => pm2.monitorState('monitor', 0, cb)), {
    action: 'monitorState',
    state: 'monitor',
    target: 0,
  })
  await assert.rejects(pm2.monitorState('monitor'), { message: 'argument missing' })
  const served = await withCallback((cb) => pm2.serve('/srv', 9000, { spa: true }, cb))
  assert.equal(served.target.config.name, 'static-page-server-9000')
  assert.deepEqual(served.target.config.env, { PM2_SERVE_PATH: '/srv', PM2_SERVE_PORT: '9000', PM2_SERVE_SPA: 'true' })
  assert.ok(fs.existsSync(served.target.config.script))
  await withCallback((cb) => pm2.serve('/srv', 9000, {}, { name: 'web' }, cb))
  assert.equal(last().target.config.name, 'web')
  const done = new Promise((resolve) => {
    assert.equal(
      pm2.update((err, result) => resolve([err, result])),
      false,
    )
  })
  assert.deepEqual(await done, [null, { success: true }])
  assert.equal(last().action, 'update')
  assert.equal(pm2.exitCli(1), false)
  assert.deepEqual(await pm2.profile('cpu', 1), { error: 'not supported by the native daemon' })
})

test('refusals of what programs cannot use, through the callback', async (t) => {
  const { pm2 } = instance(t)
  for (const [name, message] of [
    ['monit', 'Monit cant be called programmatically'],
    ['dashboard', 'Dashboard cant be called programmatically'],
    ['agentInfos', 'Interactor is offline'],
    ['killAgent', 'Interactor not launched'],
  ]) {
    const error = await new Promise((resolve) => pm2[name](resolve))
    assert.equal(error.message, message)
  }
  const error = await new Promise((resolve) => pm2.link('a', resolve))
  assert.match(error.message, /pm2\.link is not supported/)
})

test('buses: several, before connect, closed one by one; the client shares the connection', async (t) => {
  const { pm2, fake } = instance(t, ({ action }) => ({
    ok: action === 'rpc' ? [['a'], 2] : [{ pm_id: 1, name: 'x', pm2_env: { namespace: 'n' } }],
  }))
  const got = new Promise((resolve) => pm2.launchBus((...args) => resolve(args)))
  fake.subscriptions[0].send([':connect', null])
  const [err, bus, socket] = await got
  assert.equal(err, null)
  assert.equal(bus.sock, socket)
  const second = pm2.Client.launchBus()
  fake.subscriptions[1].send([':connect', null])
  ;(await second).close()
  assert.deepEqual(
    fake.subscriptions.map(({ closed }) => closed),
    [false, true],
  )
  const event = once(socket, 'close')
  bus.close()
  await event
  const answer = await new Promise((resolve) => pm2.Client.executeRemote('ping', {}, (...args) => resolve(args)))
  assert.deepEqual(answer, [null, ['a'], 2])
  assert.deepEqual(await pm2.Client.executeRemote('ping'), ['a'])
  const named = await new Promise((resolve) => pm2.Client.getProcessIdByName('x', (...args) => resolve(args)))
  assert.deepEqual(named, [null, [1], { 1: { namespace: 'n' } }])
  assert.deepEqual(await pm2.Client.getProcessIdsByNamespace('m'), [])
})

test('the ES module has every method by name and honours what is patched', async (t) => {
  const esm = await import('../index.mjs')
  const pm2 = require('../index.js')
  const methods = Object.getOwnPropertyNames(pm2.custom.prototype).filter((name) => name !== 'constructor')
  assert.equal(esm.default, pm2)
  assert.deepEqual(Object.keys(esm).sort(), [...methods, 'custom', 'default', 'defineConfig'].sort())
  const original = pm2.custom.prototype.exitCli
  t.after(() => {
    pm2.custom.prototype.exitCli = original
  })
  pm2.custom.prototype.exitCli = () => 'patched'
  assert.equal(esm.exitCli(), 'patched')
  const config = { apps: [] }
  assert.equal(esm.defineConfig(config), config)
})

test('requiring the package neither loads the addon nor touches the disk or the environment', () => {
  const { PM2_PROGRAMMATIC, ...env } = process.env
  const source = `const before = { ...process.env }; const fs = require('node:fs');
    for (const name of ['mkdirSync', 'writeFileSync']) fs[name] = () => { throw new Error(name); };
    const pm2 = require(${JSON.stringify(root)}); delete process.env.PM2_PROGRAMMATIC;
    require('node:assert').deepEqual({ ...process.env }, before);
    console.log(Object.keys(require.cache).map((file) => require('node:path').basename(file)).sort().join());`
  const loaded = execFileSync(process.execPath, ['-e', source], { encoding: 'utf8', env })
  assert.equal(loaded, 'api.js,connection.js,index.js,request.js,settle.js\n')
})

test('the printers are the command line, for the home of the instance', async (t) => {
  const { pm2, fake } = instance(t)
  const ran = []
  fake.runCli = async (argv, context) => {
    ran.push([...JSON.parse(argv), JSON.parse(context).env.PM2_HOME])
    return 0
  }
  assert.equal(await pm2.speedList(), 0)
  await pm2.jlist()
  await pm2.printLogs('api', 10, true)
  assert.deepEqual(ran, [
    ['list', '/tmp/no-such-home'],
    ['jlist', '/tmp/no-such-home'],
    ['logs', 'api', '--lines', '10', '--raw', '--nostream', '/tmp/no-such-home'],
  ])
})

test('attach shows one process and sends it lines until stdin ends', async () => {
  const source = `
    const { fakeNative } = require(${JSON.stringify(path.join(__dirname, 'support', 'fake_native.js'))})
    const pm2 = require(${JSON.stringify(root)})
    const fake = fakeNative(() => ({ ok: {} }))
    const log = (pm_id, data) => ['log:out', { process: { pm_id }, data }]
    pm2.attach(1, (err) => {
      console.log('end', err, JSON.stringify(fake.actions))
      pm2.disconnect(() => {})
    })
    const [bus] = fake.subscriptions
    bus.send([':connect', null])
    setImmediate(() => bus.send(log(1, 'mine '), log(2, 'other ')))`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['pipe', 'pipe', 'inherit'], timeout: 20_000 })
  let stdout = ''
  for await (const chunk of child.stdout) {
    stdout += chunk
    if (stdout === 'mine ') child.stdin.end('a\nb\n')
  }
  const sent = ['a', 'b'].map((line) => ({ action: 'sendLineToStdin', id: 1, line }))
  assert.equal(stdout, `mine end null ${JSON.stringify(sent)}\n`)
})
