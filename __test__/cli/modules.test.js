'use strict'

// Modules: installed from a folder and from an archive, run beside the apps, started with the daemon. No network.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, waitFor } = require('../support/home.js')

const offline = { npm_config_offline: 'true', npm_config_update_notifier: 'false' }

/** A module that writes its settings to a file, again whenever it is started. */
function sample(folder, told, name = 'demo-module') {
  fs.mkdirSync(folder)
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name, version: '0.1.0', main: 'index.js', config: { greeting: 'hello', count: 3 } }),
  )
  fs.writeFileSync(
    path.join(folder, 'index.js'),
    `require('fs').writeFileSync(${JSON.stringify(told)}, JSON.stringify([process.env.greeting, process.env.count, __dirname]))
setInterval(() => {}, 1000)\n`,
  )
}

const list = (home) => JSON.parse(cli(home, ['jlist']).stdout)

test('a folder becomes a module: settings, restart, with the daemon, gone', async (t) => {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'demo')
  const told = path.join(path.dirname(home), 'told')
  sample(folder, told)
  const says = (greeting) =>
    waitFor(() => {
      const [word, count, where] = JSON.parse(fs.readFileSync(told, 'utf8'))
      return word === greeting && count === '3' && where
    })
  const done = cli(home, ['install', folder], { env: offline })
  assert.equal(done.status, 0, done.stdout + done.stderr)
  assert.match(done.stdout, /\[PM2\]\[Module\] Module successfully installed and launched\n/)
  assert.match(done.stdout, /\nModule\n[\s\S]*│ demo-module +│ 0\.1\.0 /)
  assert.equal(await says('hello'), path.join(home, 'modules/demo-module/node_modules/demo-module'))
  const [module] = list(home)
  assert.deepEqual([module.name, module.pm2_env.pmx_module], ['demo-module', true])
  const conf = () => JSON.parse(fs.readFileSync(path.join(home, 'module_conf.json'), 'utf8'))
  assert.deepEqual(conf()['demo-module'], { greeting: 'hello', count: '3' })
  assert.deepEqual(Object.keys(conf()['module-db-v2']), ['demo-module'])

  const set = cli(home, ['set', 'demo-module:greeting', 'good day'])
  assert.equal(set.status, 0)
  assert.match(set.stdout, /\[PM2\] Module demo-module restarted\n/)
  await says('good day')
  assert.equal(list(home)[0].pm2_env.restart_time, 1)

  // What acts on all apps leaves it alone, and the list that is saved does not hold it.
  assert.equal(cli(home, ['start', fixture('forever.js'), '--name', 'app', '-q']).status, 0)
  assert.equal(cli(home, ['restart', 'all', '-q']).status, 0)
  assert.equal(list(home).find(({ name }) => name === 'demo-module').pm2_env.restart_time, 1)
  assert.equal(cli(home, ['save']).status, 0)
  assert.deepEqual(
    JSON.parse(fs.readFileSync(path.join(home, 'dump.pm2'), 'utf8')).map(({ name }) => name),
    ['app'],
  )
  assert.equal(JSON.parse(cli(home, ['module:list', '--json']).stdout)[0].status, 'online')

  // Installed again: its settings stay.
  assert.equal(cli(home, ['install', folder, '--safe', '100'], { env: offline }).status, 0)
  await says('good day')

  assert.equal(cli(home, ['kill']).status, 0)
  assert.equal(cli(home, ['resurrect', '-q']).status, 0)
  assert.deepEqual(
    list(home)
      .map(({ name }) => name)
      .sort(),
    ['app', 'demo-module'],
  )
  const gone = cli(home, ['uninstall', 'demo-module'])
  assert.equal(gone.status, 0, gone.stderr)
  assert.deepEqual(
    list(home).map(({ name }) => name),
    ['app'],
  )
  assert.equal(fs.existsSync(path.join(home, 'modules/demo-module')), false)
  assert.equal(conf()['demo-module'], undefined)
  const unknown = cli(home, ['uninstall', 'demo-module'])
  assert.deepEqual([unknown.status, /\[PM2\]\[Module\]\[ERROR\] Unknown module/.test(unknown.stderr)], [1, true])
  assert.equal(cli(home, ['uninstall', 'all', '-q']).status, 0)
  assert.equal(cli(home, ['uninstall', '../../x']).status, 1)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('the current folder is a module that is watched and not remembered', (t) => {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'demo')
  sample(folder, path.join(path.dirname(home), 'told'))
  const done = cli(home, ['install', '.'], { cwd: folder })
  assert.equal(done.status, 0, done.stderr)
  const [module] = list(home)
  assert.deepEqual([module.name, module.pm2_env.watch, module.pm2_env.pm_cwd], ['demo-module', true, folder])
  assert.deepEqual(JSON.parse(cli(home, ['module:list', '--json']).stdout), [])
  assert.equal(cli(home, ['kill']).status, 0)
})

test('an archive, as package packs it', async (t) => {
  const home = freshHome(t)
  const base = path.dirname(home)
  assert.equal(cli(home, ['module:generate', 'made'], { cwd: base }).status, 0)
  const manifest = path.join(base, 'made', 'package.json')
  const text = JSON.parse(fs.readFileSync(manifest, 'utf8'))
  fs.writeFileSync(manifest, JSON.stringify({ ...text, apps: [{ name: 'main', script: 'index.js' }] }))
  assert.equal(cli(home, ['package', 'made'], { cwd: base }).status, 0)
  const done = cli(home, ['install', 'made-v0-1-0.tar.gz'], { cwd: base, env: offline })
  assert.equal(done.status, 0, done.stdout + done.stderr)
  assert.deepEqual(
    list(home).map(({ name, pm2_env }) => [name, pm2_env.status, pm2_env.interval]),
    [['made:main', 'online', undefined]],
  )
  assert.deepEqual(
    Object.keys(JSON.parse(fs.readFileSync(path.join(home, 'module_conf.json'), 'utf8'))['tar-modules']),
    ['made'],
  )
  assert.equal(cli(home, ['uninstall', 'made', '-q']).status, 0)
  assert.deepEqual(list(home), [])
  assert.equal(cli(home, ['kill']).status, 0)
})

test('what cannot be installed leaves nothing behind', (t) => {
  const home = freshHome(t)
  const base = path.dirname(home)
  for (const args of [
    ['install', 'a-module-that-nobody-has-made', '--safe'],
    ['install', 'none.tar.gz'],
    ['install', '.'],
    ['install', '../..'],
  ]) {
    const done = cli(home, args, { cwd: base, env: offline })
    assert.equal(done.status, 1, args.join(' '))
    assert.match(done.stderr, /\[PM2\]\[Module\]\[ERROR\]/)
  }
  const dying = path.join(base, 'dying')
  sample(dying, path.join(base, 'told'), 'dying')
  fs.writeFileSync(path.join(dying, 'index.js'), 'process.exit(1)')
  const done = cli(home, ['install', dying, '--safe'], { env: offline })
  assert.equal(done.status, 1, done.stdout)
  assert.match(done.stderr, /dying keeps ending/)
  assert.deepEqual(fs.readdirSync(path.join(home, 'modules')), [])
  assert.deepEqual(list(home), [])
  assert.equal(cli(home, ['kill']).status, 0)
})
