'use strict'

// The addon against a daemon, stock or ours: everything the client says and understands is pm2's own wire. No `lib/` in
// between.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { fixture, freshHome, isAlive, root, waitFor } = require('../support/home.js')
const { expand } = require('../../lib/expand.js')

const { NativeClient } = require('../../binding.js')

const ours = process.env.NATIVE_SUITE === 'ours'
const stock = path.join(root, 'node_modules', 'pm2', 'bin', 'pm2')
const ends = []
let home
let client

/** Runs one action; gives back its result or throws its error. */
async function run(action, args = {}) {
  const answer = JSON.parse(await client.run(JSON.stringify({ action, ...args })))
  if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error)
  // The addon gives lists of our daemon packed, as lib/ takes them.
  return action === 'list' ? expand(answer.ok) : answer.ok
}

function stockEnv() {
  const env = { ...process.env, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', PM2_NO_INTERACTION: 'true' }
  delete env.PM2_PROGRAMMATIC
  return env
}

function context(extra = {}) {
  const env = stockEnv()
  return { cwd: root, env, nodeVersion: process.versions.node, programmatic: true, ...extra }
}

before(() => {
  home = freshHome({ after: (end) => ends.push(end) })
  if (!ours) execFileSync(process.execPath, [stock, 'ping'], { env: stockEnv(), stdio: 'ignore' })
  // Beside a stock daemon the executable does not exist: whatever launches a daemon there fails.
  const pm2d = ours ? path.join(root, 'pm2d') : '/nowhere/pm2d'
  client = new NativeClient(JSON.stringify({ home, daemonMode: true, pm2d, agent: path.join(root, 'lib', 'agent') }))
})

after(async () => {
  await client.disconnect()
  try {
    if (!ours) execFileSync(process.execPath, [stock, 'kill'], { env: stockEnv(), stdio: 'ignore' })
  } finally {
    for (const end of ends) await end()
  }
})

test('it finds the daemon and asks it simple things', async () => {
  assert.deepEqual(await run('connect'), {
    new_pm2_instance: ours,
    rpc_socket_file: path.join(home, 'rpc.sock'),
    pub_socket_file: path.join(home, 'pub.sock'),
    pm2_home: home,
  })
  assert.equal(await run('pingDaemon'), true)
  assert.deepEqual(await run('ping'), { msg: 'pong' })
  assert.equal(await run('getVersion'), '7.0.4')
  assert.deepEqual(await run('list'), [])
  const [methods] = await run('rpc', { method: '$methods' })
  assert.equal(methods.ping.name, 'ping')
  await assert.rejects(run('rpc', { method: 'nonsense', args: [] }), { code: 'UNKNOWN_METHOD' })
})

test('start, restart, stop, delete', async () => {
  const started = await run('start', { target: fixture('forever.js'), options: { name: 'web' }, context: context() })
  assert.equal(started.length, 1)
  assert.equal(started[0].name, 'web')
  assert.equal(started[0].pm_id, 0)
  assert.equal(started[0].pm2_env.status, 'online')
  assert.equal(started[0].pid, started[0].process.pid)
  assert.ok(isAlive(started[0].pid))
  assert.equal(started[0]._events, undefined)

  await assert.rejects(run('start', { target: fixture('forever.js'), options: { name: 'web' }, context: context() }), {
    message: 'Script already launched',
  })

  const [restarted] = await run('restart', { target: 'web', context: context() })
  assert.deepEqual(Object.keys(restarted), ['name', 'namespace', 'pm_id', 'status', 'restart_time', 'pm2_env'])
  assert.deepEqual(Object.keys(restarted.pm2_env), ['name', 'namespace', 'pm_id', 'status', 'restart_time', 'env'])
  assert.equal(restarted.restart_time, 1)
  assert.equal(restarted.pm2_env.env.PM2_HOME, home)
  await waitFor(() => !isAlive(started[0].pid))

  const [again] = await run('start', { target: 'web', context: context() })
  assert.equal(again.restart_time, 2)
  const [byId] = await run('restart', {
    target: 0,
    options: { updateEnv: true },
    context: context({ env: { ...stockEnv(), ADDED: 'x' } }),
  })
  assert.equal(byId.restart_time, 3)
  assert.equal((await run('env', { id: 0 })).ADDED, 'x')

  const [stopped] = await run('stop', { target: '/^we/', context: context() })
  assert.equal(stopped.status, 'stopped')
  assert.deepEqual(await run('getPid', { name: 'web' }), [0])
  assert.deepEqual(await run('reset', { target: 'web' }), { success: true })
  assert.equal((await run('describe', { target: 'web' }))[0].pm2_env.restart_time, 0)
  assert.deepEqual(await run('getProcessIdByName', { name: fixture('forever.js'), context: context() }), [0])

  const [deleted] = await run('delete', { target: 'all', context: context() })
  assert.equal(deleted.name, 'web')
  assert.deepEqual(await run('list'), [])
})

test('errors have the texts that programs match', async () => {
  const on = (verb, target) => run(verb, { target, context: context() })
  for (const verb of ['stop', 'restart', 'reload', 'delete']) {
    await assert.rejects(on(verb, 'nobody'), { message: 'process or namespace not found', code: 'PROCESS_NOT_FOUND' })
    await assert.rejects(on(verb, 'all'), { message: 'process name not found', code: 'PROCESS_NOT_FOUND' })
    await assert.rejects(on(verb, '/^x/'), { message: 'process name not found' })
    await assert.rejects(on(verb, true), { message: 'process or namespace not found' })
    for (const empty of [[], { config: {} }]) {
      if (verb === 'stop' || verb === 'delete') await assert.rejects(on(verb, empty), { code: 'PROCESS_NOT_FOUND' })
    }
  }
  const unknown = {
    stop: '99 : id unknown',
    restart: 'God db process id unknown',
    reload: 'PM2 ID unknown',
    delete: '99 : id unknown',
  }
  for (const [verb, message] of Object.entries(unknown))
    await assert.rejects(on(verb, 99), { message, code: 'PROCESS_NOT_FOUND' })
  await assert.rejects(on('start', './missing.js'), { message: `Script not found: ${path.join(root, 'missing.js')}` })
  await assert.rejects(run('scale', { name: 'nobody', count: 2 }), { message: 'App not found' })
  await assert.rejects(run('reset', { target: 'nobody' }), { message: 'Unknown process name' })
  await assert.rejects(run('reset', { target: '77' }), { code: 'PROCESS_NOT_FOUND' })
  await assert.rejects(run('sendSignalToProcessName', { signal: 'SIGINT', name: 'nobody' }), {
    message: 'Unknown process name',
  })
  await assert.rejects(run('sendDataToProcessId', { packet: { id: 1 } }), {
    message: 'ID, DATA or TOPIC field is missing',
  })
  await assert.rejects(run('sendDataToProcessId', { id: 55, packet: { topic: 't', data: 1 } }), {
    message: 'Process with ID <55> unknown.',
  })
  await assert.rejects(run('sendLineToStdin', { id: 55, line: 'x' }), { message: 'Process with ID <55> unknown.' })
  await assert.rejects(run('trigger', { target: 'nobody', name: 'x' }), { message: 'Unknown process' })
  await assert.rejects(run('dump', {}), { message: 'Process list empty, cannot save empty list' })
  await assert.rejects(run('nonsense', {}), { code: 'INVALID_ARGUMENT' })
})

test('apps: new ones are started, known ones restarted, what fails is told beside what was done', async () => {
  const apps = [
    { name: 'a', script: fixture('forever.js') },
    { name: 'b', script: fixture('forever.js'), env: { B: '1' } },
  ]
  const first = await run('start', { target: { config: { apps } }, context: context() })
  assert.deepEqual(
    first.map((one) => one.name),
    ['a', 'b'],
  )
  assert.ok(first.every((one) => one.process))

  const more = [...apps, { name: 'c', script: './not-there.js' }, { name: 'd', script: fixture('forever.js') }]
  await assert.rejects(run('start', { target: { config: more }, context: context() }), (error) => {
    assert.equal(error.errors.length, 1)
    assert.equal(error.errors[0].message, `Script not found: ${path.join(root, 'not-there.js')}`)
    assert.deepEqual(
      error.partial.map((one) => one.name),
      ['a', 'b', 'd'],
    )
    assert.equal(error.partial[0].restart_time, 1)
    return true
  })
  await assert.rejects(
    run('start', {
      target: { config: [{ name: 'e', script: fixture('forever.js'), max_restarts: 'x' }] },
      context: context(),
    }),
    (error) => error.errors === undefined && /^Expect "max_restarts" to be a typeof/.test(error.message),
  )
  assert.deepEqual(await run('start', { target: { config: [] }, context: context() }), [])

  const stopped = await run('stop', {
    target: { config: { apps: [apps[0], { name: 'zz', script: 'x' }] } },
    context: context(),
  })
  assert.deepEqual(
    stopped.map((one) => [one.name, one.pm2_env.status]),
    [['a', 'stopped']],
  )

  assert.deepEqual(await run('dump'), { success: true })
  const dump = fs.readFileSync(path.join(home, 'dump.pm2'), 'utf8')
  assert.ok(dump.startsWith('[\n  {\n    "name": "a"'))
  for (const record of JSON.parse(dump))
    for (const key of ['instances', 'pm_id', 'prev_restart_delay']) assert.ok(!(key in record))

  assert.equal((await run('delete', { target: 'all', context: context() })).length, 3)
  const restored = await run('resurrect')
  assert.deepEqual(restored.restored, ['a', 'b', 'd'])
  assert.deepEqual(restored.failed, [])
  assert.equal(restored.dump, dump)
  const list = await run('list')
  assert.deepEqual(
    list.map((one) => one.pm2_env.status),
    ['stopped', 'online', 'online'],
  )
  assert.equal(list[1].pm2_env.B, '1')

  fs.writeFileSync(list[1].pm2_env.pm_out_log_path, 'old\n')
  assert.equal((await run('flush', { target: 'all' })).length, 3)
  assert.equal(fs.statSync(list[1].pm2_env.pm_out_log_path).size, 0)
  assert.deepEqual(await run('reloadLogs'), {})
  await run('delete', { target: 'all', context: context() })
})

test('scale and reload of a cluster', async () => {
  await run('start', {
    target: { config: [{ name: 'c', script: fixture('http.js'), instances: 1, env: { PORT: '0' } }] },
    context: context(),
  })
  assert.deepEqual(await run('scale', { name: 'c', count: '+2' }), { success: true })
  assert.equal((await run('list')).length, 3)
  await assert.rejects(run('scale', { name: 'c', count: 3 }), { message: 'Same process number' })
  const reloaded = await run('reload', { target: 'c', context: context() })
  assert.deepEqual(
    reloaded.map((one) => [one.pm_id, one.status]),
    [
      [0, 'online'],
      [1, 'online'],
      [2, 'online'],
    ],
  )
  assert.equal(fs.readFileSync(path.join(home, 'reload.lock'), 'utf8'), '')
  assert.deepEqual(await run('scale', { name: 'c', count: '-2' }), { success: true })
  assert.deepEqual(
    (await run('list')).map((one) => one.pm_id),
    [2],
  )
  await run('delete', { target: 'c', context: context() })
})

test('messages, actions and the bus', async () => {
  const events = []
  const subscription = client.subscribe((batch) => events.push(...JSON.parse(batch)))
  await waitFor(() => events.some(([topic]) => topic === ':connect'))
  await run('start', { target: fixture('action.js'), options: { name: 'act' }, context: context() })
  await run('start', { target: fixture('messages.js'), options: { name: 'msg' }, context: context() })
  await waitFor(() =>
    events.some(
      ([topic, payload]) => topic === 'process:event' && payload.event === 'start' && payload.process.name === 'msg',
    ),
  )
  await waitFor(async () =>
    (await run('describe', { target: 'act' }))[0].pm2_env.axm_actions.some((action) => action.action_name === 'hello'),
  )
  const replies = await run('trigger', { target: 'act', name: 'hello', params: { a: 1 } })
  assert.equal(replies.length, 1)
  assert.equal(replies[0].process.name, 'act')
  assert.equal(replies[0].data.action_name, 'hello')
  const sent = await run('sendDataToProcessId', { id: 1, packet: { type: 'process:msg', topic: 't', data: { a: 1 } } })
  assert.deepEqual(sent, { success: true, data: { type: 'process:msg', topic: 't', data: { a: 1 }, id: 1 } })
  assert.deepEqual(await run('sendLineToStdin', { id: 1, line: 'abc' }), { pm_id: 1, line: 'abc\n' })
  assert.deepEqual(await run('monitorState', { state: 'monitor', target: 'msg' }), [{ success: true, pm_id: 1 }])
  subscription.close()
  await run('delete', { target: 'all', context: context() })
})

test('the store is pm2’s file', async () => {
  assert.deepEqual(await run('set', { key: 'mod:a', value: '1', context: context() }), { success: true })
  assert.equal(
    fs.readFileSync(path.join(home, 'module_conf.json'), 'utf8'),
    '{\n    "mod": {\n        "a": "1"\n    }\n}',
  )
  assert.deepEqual(await run('get', { key: 'mod.a' }), { success: true, value: '1' })
  await run('multiset', { text: 'mod:b 2 x 3' })
  await run('unset', { key: 'mod:a' })
  assert.deepEqual((await run('get')).value, { mod: { b: '2' }, x: '3' })
  await assert.rejects(run('get', { key: 'mod:zz' }), { code: 'KEY_NOT_FOUND' })
})

test('many calls at once are answered each with its own answer', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => run(i % 2 ? 'ping' : 'getVersion')))
  answers.forEach((answer, i) => {
    assert.deepEqual(answer, i % 2 ? { msg: 'pong' } : '7.0.4')
  })
})

test('after a disconnect the next call connects again', async () => {
  assert.equal(await client.disconnect(), '{"ok":true}')
  assert.equal(await client.disconnect(), '{"ok":false}')
  assert.deepEqual(await run('ping'), { msg: 'pong' })
})

test('killDaemon leaves no daemon, and without one does nothing', async () => {
  await run('start', { target: fixture('forever.js'), options: { name: 'last' }, context: context() })
  const [{ pid }] = await run('list')
  const daemon = Number(fs.readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
  assert.deepEqual(await run('killDaemon'), { success: true })
  assert.ok(!isAlive(daemon), 'the daemon is gone when the call comes back')
  assert.ok(!isAlive(pid))
  assert.deepEqual(await run('killDaemon'), { success: true })
  assert.equal(await run('pingDaemon'), false)
  if (!ours) await assert.rejects(run('ping'), { code: 'DAEMON_NOT_LAUNCHED' })
})
