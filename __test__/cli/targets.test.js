'use strict'

// One resolver for every command: each verb with each kind of target (contract/cli.md section 3).

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, waitFor } = require('../support/home.js')

/** What a target names, of the apps 0:api 1:api 2:web.v2 3:job; api is in the namespace front. */
const forms = (folder) => ({
  id: ['2', [2]],
  name: ['api', [0, 1]],
  'name with a dot': ['web.v2', [2]],
  namespace: ['front', [0, 1]],
  pattern: ['/^(web|job)/', [2, 3]],
  path: [path.join(folder, 'job.js'), [3]],
  all: ['all', [0, 1, 2, 3]],
})

const list = (home) => JSON.parse(cli(home, ['jlist']).stdout)
const restarts = (home) => list(home).map(({ pm2_env }) => pm2_env.restart_time)

/** Four apps in a fresh home. */
function apps(t) {
  const home = freshHome(t)
  const folder = path.dirname(home)
  for (const name of ['a', 'b', 'job']) fs.copyFileSync(fixture('messages.js'), path.join(folder, `${name}.js`))
  fs.writeFileSync(
    path.join(folder, 'apps.json'),
    JSON.stringify([
      { name: 'api', script: 'a.js', instances: 2, exec_mode: 'fork', namespace: 'front' },
      { name: 'web.v2', script: 'b.js' },
      { name: 'job', script: 'job.js' },
    ]),
  )
  const started = cli(home, ['start', 'apps.json', '-q'], { cwd: folder })
  assert.equal(started.status, 0, started.stderr)
  // From another folder: a relative word names no script by accident.
  const run = (...args) => {
    const done = cli(home, args, { cwd: '/' })
    assert.equal(done.status, 0, `${args.join(' ')}: ${done.stdout}${done.stderr}`)
    return done.stdout
  }
  return { home, folder, run }
}

test('queries name the same processes, whatever the form', (t) => {
  const { home, folder, run } = apps(t)
  const now = list(home)
  for (const [kind, [target, ids]] of Object.entries(forms(folder))) {
    const what = (verb) => `${verb} ${kind}`
    assert.deepEqual(JSON.parse(run('id', target, '--json')), ids, what('id'))
    assert.deepEqual(
      JSON.parse(run('pid', target, '--json')),
      ids.map((id) => now[id].pid),
      what('pid'),
    )
    const described = JSON.parse(run('describe', target, '--json'))
    assert.deepEqual(
      described.map(({ pm_id }) => pm_id),
      ids,
      what('describe'),
    )
    assert.equal(
      (run('describe', target).match(/Describing process with id/g) ?? []).length,
      ids.length,
      what('describe'),
    )
    assert.equal((run('env', target, '--export').match(/^export PM2_HOME=/gm) ?? []).length, ids.length, what('env'))
    const flushed = run('flush', target)
    for (const [id, process] of now.entries()) {
      assert.equal(flushed.includes(`${process.pm2_env.pm_out_log_path}\n`), ids.includes(id), what(`flush, id ${id}`))
    }
  }
  assert.deepEqual(JSON.parse(run('id', '0', 'front', 'job', '--json')), [0, 1, 3])
  run('kill')
})

test('actions act on the same processes, whatever the form, and several at once', (t) => {
  const { home, folder, run } = apps(t)
  const everything = Object.entries(forms(folder))
  for (const verb of ['restart', 'reload', 'start']) {
    for (const [kind, [target, ids]] of everything) {
      // A script that runs is not started twice (contract/cli.md section 4.1).
      if (verb === 'start' && kind === 'path') continue
      const before = restarts(home)
      run(verb, target, '-q')
      const expected = before.map((count, id) => count + (ids.includes(id) ? 1 : 0))
      assert.deepEqual(restarts(home), expected, `${verb} ${kind}`)
    }
    const before = restarts(home)
    run(verb, '0', 'job', '-q')
    assert.deepEqual(
      restarts(home),
      before.map((count, id) => count + (id === 0 || id === 3 ? 1 : 0)),
      `${verb} several`,
    )
  }
  for (const [kind, [target, ids]] of everything) {
    run('reset', target, '-q')
    for (const id of ids) assert.equal(restarts(home)[id], 0, `reset ${kind}`)
    assert.equal((run('sendSignal', 'SIGCONT', target, '-q').match(/successfully sent signal/g) ?? []).length, 1)
    run('monitor', target, '-q')
    const marked = list(home).flatMap(({ pm_id, pm2_env }) => (pm2_env._km_monitored === true ? [pm_id] : []))
    assert.deepEqual(marked, ids, `monitor ${kind}`)
    run('unmonitor', target, '-q')
    run('stop', target, '-q')
    const stopped = list(home).flatMap(({ pm_id, pm2_env }) => (pm2_env.status === 'stopped' ? [pm_id] : []))
    assert.deepEqual(stopped, ids, `stop ${kind}`)
    run('restart', 'all', '-q')
  }
  // One process, for those that talk to one.
  for (const target of ['3', 'job', '/job/', path.join(folder, 'job.js')]) run('send', target, 'hello', '-q')
  assert.equal(cli(home, ['send', 'all', 'hello']).status, 1)
  run('kill')
})

test('scale, trigger, delete', async (t) => {
  const { home, folder, run } = apps(t)
  const count = (name) => list(home).filter((one) => one.name === name).length
  run('scale', 'front', '+1', '-q')
  assert.equal(count('api'), 3)
  run('scale', 'api', '-1', '--newest', '-q')
  assert.deepEqual(
    list(home)
      .filter(({ name }) => name === 'api')
      .map(({ pm_id }) => pm_id),
    [0, 1],
  )
  run('scale', '/^job$/', '2', '-q')
  assert.equal(count('job'), 2)
  assert.equal(cli(home, ['scale', 'job', '2']).status, 1)
  run('start', fixture('action.js'), '--name', 'acts', '--namespace', 'n', '-q')
  const id = list(home).find(({ name }) => name === 'acts').pm_id
  const offered = () => list(home).find(({ name }) => name === 'acts').pm2_env.axm_actions
  const [{ action_name: action }] = await waitFor(() => offered().length > 0 && offered())
  for (const target of ['acts', String(id), 'n', '/^acts$/', fixture('action.js')]) {
    assert.match(
      run('trigger', target, action, '--timeout', '30'),
      /^1 processes have received command .*\n\[acts:/,
      target,
    )
  }
  for (const [kind, [target]] of Object.entries(forms(folder)).filter(([kind]) => kind !== 'id')) {
    const done = cli(home, ['delete', target, '-q', '--if-exists'], { cwd: '/' })
    assert.equal(done.status, 0, `delete ${kind}: ${done.stderr}`)
    const [, ids] = forms(folder)[kind]
    assert.equal(
      list(home).some(({ pm_id }) => ids.includes(pm_id)),
      false,
      `delete ${kind}`,
    )
  }
  assert.deepEqual(list(home), [])
  run('kill')
})

test('what nothing is called is said, and the others are still acted on', (t) => {
  const { home, run } = apps(t)
  for (const verb of [
    'restart',
    'reload',
    'stop',
    'delete',
    'describe',
    'env',
    'reset',
    'flush',
    'inspect',
    'monitor',
  ]) {
    const done = cli(home, [verb, 'nobody'], { cwd: '/' })
    assert.equal(done.status, 1, verb)
    assert.match(done.stderr, /nobody|Unknown process name/, verb)
    assert.equal(cli(home, [verb, '/nobody/'], { cwd: '/' }).status, 1, verb)
  }
  const stopped = cli(home, ['stop', 'nobody', 'job', '/none/', '0', '-q'], { cwd: '/' })
  assert.equal(stopped.status, 1)
  assert.deepEqual(
    list(home).map(({ pm2_env }) => pm2_env.status),
    ['stopped', 'online', 'online', 'stopped'],
  )
  run('kill')
})
