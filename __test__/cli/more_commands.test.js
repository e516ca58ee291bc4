'use strict'

// What commands.test.js does not walk through: machine outputs, settings, boot, refusals, waiting.

const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { inspect } = require('node:util')
const { runInNewContext } = require('node:vm')

const { cli, fixture, freshHome, root, waitFor } = require('../support/home.js')

const app = fixture('forever.js')
const colourless = { NO_COLOR: '1' }

test('prettylist is what Node prints of jlist', async (t) => {
  const home = freshHome(t)
  assert.deepEqual(cli(home, ['prettylist', '-s']), { status: 0, stdout: '[]', stderr: '' })
  assert.equal(
    cli(home, ['start', app, '--name', 'ECHONEST', `--watch=${path.dirname(home)}`, '--', 'a b', "it's"]).status,
    0,
  )
  const stable = (list) => list.map(({ monit, ...rest }) => rest)
  // Complete once the app has said its version.
  const list = await waitFor(() => {
    const seen = JSON.parse(cli(home, ['jlist']).stdout)
    return seen[0].pm2_env.node_version && seen
  })
  const pretty = cli(home, ['prettylist', '-s']).stdout
  const value = JSON.parse(JSON.stringify(runInNewContext(`(${pretty})`)))
  assert.deepEqual(stable(value), stable(list))
  assert.equal(pretty, inspect(value, { depth: null }))
  assert.equal((pretty.match(/restart_time/g) ?? []).length, 1)
  assert.equal((pretty.match(/name: 'ECHONEST'/g) ?? []).length >= 2, true)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('settings are those of stock pm2', (t) => {
  const [ours, theirs] = [freshHome(t), freshHome(t)]
  const run = (args) => [cli(ours, args, { env: colourless }), cli(theirs, args, { stock: true, env: colourless })]
  for (const args of [
    ['set', 'key1', 'val1'],
    ['set', 'mod:key', 'v2'],
    ['multiset', 'mod:a 1 mod:b 2'],
    ['unset', 'mod:a'],
  ]) {
    const [a, b] = run(args)
    assert.equal(a.status, b.status, args.join(' '))
    const read = (home) => JSON.parse(fs.readFileSync(path.join(home, 'module_conf.json'), 'utf8'))
    const { 'module-db-v2': _, ...stock } = read(theirs)
    const { 'module-db-v2': __, ...own } = read(ours)
    assert.deepEqual(own, stock, args.join(' '))
  }
  for (const args of [
    ['get', 'mod:key'],
    ['get', 'mod.key'],
    ['get', 'nothing'],
  ]) {
    const [a, b] = run(args)
    assert.deepEqual([a.status, a.stdout], [b.status, b.stdout], args.join(' '))
  }
  assert.equal(cli(ours, ['get', 'key1']).stdout, 'val1\n')
  assert.match(cli(ours, ['conf']).stdout, /^Module: mod\n\$ pm2-rs set mod:key v2\n/m)
  assert.equal(cli(theirs, ['kill'], { stock: true }).status, 0)
})

test('startOrRestart and its kin start what is missing and renew what runs', (t) => {
  const home = freshHome(t)
  const file = path.join(path.dirname(home), 'apps.json')
  fs.writeFileSync(
    file,
    JSON.stringify({
      apps: [
        { name: 'a', script: app },
        { name: 'b', script: app },
      ],
    }),
  )
  for (const [round, verb] of [
    'startOrRestart',
    'startOrRestart',
    'startOrReload',
    'startOrGracefulReload',
  ].entries()) {
    const done = cli(home, [verb, file])
    assert.equal(done.status, 0, done.stderr)
    assert.match(done.stdout, round === 0 ? /\[PM2\] App \[a\] launched \(1 instances\)/ : /\[PM2\] \[a\]\(0\) ✓/)
    assert.match(done.stdout, /│ b /)
    assert.deepEqual(
      JSON.parse(cli(home, ['jlist']).stdout).map(({ pm2_env }) => pm2_env.restart_time),
      [round, round],
    )
  }
  assert.equal(cli(home, ['startOrRestart', app]).status, 1)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('apply makes what runs equal to the file, and --diff only says how', (t) => {
  const home = freshHome(t)
  const file = path.join(path.dirname(home), 'apps.json')
  const write = (...apps) =>
    fs.writeFileSync(file, JSON.stringify({ apps: apps.map((one) => ({ script: app, ...one })) }))
  const list = () => Object.fromEntries(JSON.parse(cli(home, ['jlist']).stdout).map((one) => [one.name, one]))
  const plan = () =>
    JSON.parse(cli(home, ['start', file, '--diff', '--json']).stdout).map(({ name, action }) => `${action} ${name}`)
  write({ name: 'a' }, { name: 'b', env: { X: '1' } }, { name: 'c' })
  assert.deepEqual(plan(), ['start a', 'start b', 'start c'])
  assert.equal(cli(home, ['apply', file, '-q']).status, 0)
  assert.deepEqual(plan(), ['same a', 'same b', 'same c'])
  const before = list()
  write({ name: 'a' }, { name: 'b', env: { X: '2' } }, { name: 'd', args: 'one two' })
  assert.deepEqual(plan(), ['same a', 'replace b', 'start d', 'delete c'])
  assert.match(cli(home, ['start', file, '--diff']).stdout, /^ {4}env\.X: "1" -> "2"$/m)
  assert.deepEqual(Object.keys(list()), ['a', 'b', 'c'])
  const done = cli(home, ['apply', file, '--prune', '-q'])
  assert.equal(done.status, 0, done.stderr)
  const after = list()
  assert.deepEqual(Object.keys(after).sort(), ['a', 'b', 'd'])
  assert.equal(after.a.pid, before.a.pid)
  assert.notEqual(after.b.pid, before.b.pid)
  assert.equal(after.b.pm2_env.env.X, '2')
  assert.deepEqual(plan(), ['same a', 'same b', 'same d'])
  assert.equal(cli(home, ['kill']).status, 0)
})

test('start --wait tells whether the app came up', (t) => {
  const home = freshHome(t)
  const folder = path.dirname(home)
  fs.writeFileSync(path.join(folder, 'broken.js'), "console.error('no database'); process.exit(3)")
  const good = cli(home, ['start', app, '--wait', '-q'])
  assert.equal(good.status, 0, good.stderr)
  const bad = cli(home, ['start', path.join(folder, 'broken.js'), '--wait', '--no-autorestart'])
  assert.equal(bad.status, 1)
  assert.match(bad.stderr, /no database/)
  assert.match(bad.stderr, /\[PM2\]\[ERROR\] broken did not come up/)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('several targets of every kind', (t) => {
  const home = freshHome(t)
  for (const name of ['a', 'b', 'c'])
    assert.equal(cli(home, ['start', app, '--name', name, '--namespace', 'ns', '-q']).status, 0)
  assert.equal(cli(home, ['restart', 'a', '1', '-q']).status, 0)
  assert.equal(cli(home, ['reset', 'ns', '-q']).status, 0)
  assert.deepEqual(
    JSON.parse(cli(home, ['jlist']).stdout).map(({ pm2_env }) => pm2_env.restart_time),
    [0, 0, 0],
  )
  assert.equal(cli(home, ['id', '/^[ab]$/']).stdout, '[ 0, 1 ]\n')
  assert.equal(JSON.parse(cli(home, ['describe', 'a', '2', '--json']).stdout).length, 2)
  const stopped = cli(home, ['stop', 'nobody', 'a'])
  assert.equal(stopped.status, 1)
  assert.match(stopped.stdout, /\[a\]\(0\) ✓/)
  assert.match(stopped.stderr, /Process or Namespace nobody not found/)
  assert.equal(cli(home, ['stop', 'nobody', '--if-exists', '-q']).status, 0)
  assert.equal(cli(home, ['sendSignal', 'SIGCONT', 'ns', '-q']).status, 0)
  assert.match(cli(home, ['env', 'a', '--export']).stdout, /^export PATH='/m)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('serve serves, and not what is outside', async (t) => {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'www')
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'index.html'), '<h1>here</h1>')
  const server = require('node:net').createServer().listen(0)
  const port = String(server.address().port)
  await new Promise((resolve) => server.close(resolve))
  const done = cli(home, ['serve', folder, port, '--spa'])
  assert.equal(done.status, 0, done.stderr)
  assert.match(done.stdout, new RegExp(`\\[PM2\\] Serving ${folder} on port ${port}`))
  const get = (url) => fetch(`http://127.0.0.1:${port}${url}`)
  await waitFor(async () => (await get('/')).status === 200)
  assert.equal(await (await get('/deep/link')).text(), '<h1>here</h1>')
  assert.equal(cli(home, ['serve', folder, port]).status, 1)
  assert.equal(cli(home, ['serve', path.join(folder, 'none'), '1']).status, 1)
  const file = path.join(path.dirname(home), 'static.json')
  fs.writeFileSync(file, JSON.stringify({ static: [{ name: 'site', port: 0, path: folder }] }))
  assert.equal(cli(home, ['start', file]).status, 0)
  const site = JSON.parse(cli(home, ['jlist']).stdout).find(({ name }) => name === 'site')
  assert.equal(site.pm2_env.pm_exec_path, path.join(root, 'lib', 'static_server.js'))
  assert.equal(cli(home, ['kill']).status, 0)
})

test('startup: the last line is what a user runs as root, an image gets the file', (t) => {
  const home = freshHome(t)
  const image = path.join(path.dirname(home), 'image')
  const options = ['-u', 'deploy', '--hp', '/home/deploy', '--service-name', 'svc', '--wait-ip']
  const written = cli(home, ['startup', 'systemd', ...options, '--root', image])
  assert.equal(written.status, 0, written.stderr)
  const unit = fs.readFileSync(path.join(image, 'etc/systemd/system/svc.service'), 'utf8')
  for (const line of [
    'Type=forking',
    'User=deploy',
    'PIDFile=/home/deploy/.pm2/pm2.pid',
    'After=network-online.target',
  ]) {
    assert.ok(unit.split('\n').includes(line), `${line} in ${unit}`)
  }
  assert.match(unit, /^ExecStart=\S*pm2d cli resurrect$/m)
  assert.equal(cli(home, ['unstartup', 'systemd', ...options, '--root', image]).status, 0)
  assert.equal(cli(home, ['unstartup', 'systemd', ...options, '--root', image]).status, 1)
  assert.equal(cli(home, ['startup', 'bogus']).status, 1)
  for (const [platform, file, first] of [
    ['systemd', 'etc/systemd/system/pm2-deploy.service', /^\[Unit\]\n/],
    ['upstart', 'etc/init.d/pm2-deploy', /^#!\/bin\/sh\n### BEGIN INIT INFO\n/],
    ['systemv', 'etc/init.d/pm2-deploy', /^#!\/bin\/sh\n### BEGIN INIT INFO\n/],
    ['openrc', 'etc/init.d/pm2', /^#!\/sbin\/openrc-run\n/],
    ['launchd', 'home/deploy/Library/LaunchAgents/pm2.deploy.plist', /<key>RunAtLoad<\/key>/],
    ['rcd', 'usr/local/etc/rc.d/pm2_deploy', /\n# PROVIDE: pm2\n/],
    ['freebsd', 'usr/local/etc/rc.d/pm2_deploy', /\nrun_rc_command "\$1"\n/],
    ['rcd-openbsd', 'etc/rc.d/pm2_deploy', /\n\. \/etc\/rc\.d\/rc\.subr\n/],
    ['smf', 'tmp/pm2_deploy.xml', /<service_bundle type="manifest"/],
  ]) {
    const user = ['-u', 'deploy', '--hp', '/home/deploy', '--root', image]
    const env = { TMPDIR: '/tmp' }
    assert.equal(cli(home, ['startup', platform, ...user], { env }).status, 0, platform)
    const text = fs.readFileSync(path.join(image, file), 'utf8')
    assert.match(text, first)
    for (const word of ['resurrect', 'kill', '/home/deploy/.pm2']) {
      assert.ok(text.includes(word) || platform === 'launchd', `${word} in ${platform}`)
    }
    assert.equal(Boolean(fs.statSync(path.join(image, file)).mode & 0o100), !/systemd|launchd|smf/.test(platform))
    assert.equal(cli(home, ['unstartup', platform, ...user], { env }).status, 0, platform)
    assert.equal(fs.existsSync(path.join(image, file)), false)
  }
  const own = ['startup', 'systemd', '--user-unit', '--hp', '/home/deploy', '--root', image]
  assert.equal(cli(home, own, { env: { USER: 'deploy' } }).status, 0)
  const ownUnit = path.join(image, 'home/deploy/.config/systemd/user/pm2-deploy.service')
  assert.match(fs.readFileSync(ownUnit, 'utf8'), /\nWantedBy=default\.target\n/)
  assert.equal(cli(home, ['startup', 'systemd', '-u', 'a;b', '--print']).status, 1)

  if (process.getuid() !== 0) return
  let user
  try {
    execFileSync('setpriv', ['--reuid', '65534', '--clear-groups', process.execPath, '-e', ''], { stdio: 'ignore' })
    user = [
      'setpriv',
      '--reuid',
      '65534',
      '--clear-groups',
      path.join(root, 'pm2d'),
      'cli',
      'startup',
      'systemd',
      ...options,
    ]
    execFileSync(user[0], [...user.slice(1, 4), 'test', '-x', user[4]], { stdio: 'ignore' })
  } catch {
    return t.diagnostic('no other user can be had here')
  }
  let refused
  try {
    execFileSync(user[0], user.slice(1), {
      env: { PATH: process.env.PATH, HOME: '/tmp' },
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } catch (error) {
    refused = error
  }
  assert.equal(refused?.status, 1)
  const last = refused.stdout.trimEnd().split('\n').at(-1)
  assert.match(
    last,
    /^sudo env PATH=\$PATH\S* \S+.* startup systemd -u deploy --hp \/home\/deploy --service-name svc --wait-ip$/,
  )
})

test('init never overwrites, and knows modules', (t) => {
  const cwd = path.dirname(freshHome(t))
  const home = path.join(cwd, 'home')
  const first = cli(home, ['init', 'simple'], { cwd })
  assert.deepEqual([first.status, first.stdout], [0, `File ${path.join(cwd, 'ecosystem.config.js')} generated\n`])
  assert.equal(require(path.join(cwd, 'ecosystem.config.js')).apps.length, 1)
  assert.equal(cli(home, ['ecosystem'], { cwd }).status, 1)
  assert.equal(cli(home, ['ecosystem', '--force'], { cwd }).status, 0)
  fs.writeFileSync(path.join(cwd, 'package.json'), '{"type":"module"}')
  assert.equal(cli(home, ['init'], { cwd }).status, 0)
  assert.equal(fs.existsSync(path.join(cwd, 'ecosystem.config.cjs')), true)
})

test('what is refused says so on stderr, with the exit codes that scripts expect', (t) => {
  const home = freshHome(t)
  for (const [args, status] of [
    [['link', 'a', 'b'], 1],
    [['link', 'delete'], 0],
    [['link', 'stop'], 0],
    [['unlink'], 0],
    [['logout'], 0],
    [['plus'], 1],
    [['monitor'], 1],
    [['deepUpdate'], 1],
    [['module:publish'], 1],
    [['pull', 'x'], 1],
    [['profile:cpu'], 1],
    [['login'], 1],
    [['install-otel'], 0],
    [['monit'], 1],
  ]) {
    const done = cli(home, args)
    assert.equal(done.status, status, args.join(' '))
    assert.equal(done.stdout, '', args.join(' '))
    if (status !== 0) assert.match(done.stderr, /pm2-rs/)
  }
  assert.equal(fs.existsSync(home), false, 'nothing was launched or made')
})

test('update touches no app, completion knows their names', (t) => {
  const home = freshHome(t)
  assert.equal(cli(home, ['start', app, '--name', 'shop', '-q']).status, 0)
  const [{ pid }] = JSON.parse(cli(home, ['jlist']).stdout)
  const done = cli(home, ['update'])
  assert.equal(done.status, 0, done.stderr)
  assert.match(done.stdout, />>>>>>>>>> PM2 updated\n/)
  assert.equal(JSON.parse(cli(home, ['jlist']).stdout)[0].pid, pid)
  const complete = (...words) =>
    cli(home, ['completion', '--', ...words], {
      env: { COMP_CWORD: String(words.length - 1), COMP_LINE: words.join(' '), COMP_POINT: '0' },
    }).stdout
  assert.equal(complete('pm2-rs', 'restart', 'sh'), 'shop\n')
  assert.match(complete('pm2-rs', 'rest'), /^restart\n/)
  assert.match(complete('pm2-rs', 'logs', '--no'), /^--nostream$/m)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('save --check, list --columns and --filter, the last exit', async (t) => {
  const home = freshHome(t)
  const crash = fixture('crash.js')
  assert.equal(cli(home, ['start', app, '--name', 'a', '-q']).status, 0)
  assert.equal(cli(home, ['save', '--check']).status, 1, 'nothing is saved')
  assert.equal(cli(home, ['save']).status, 0)
  assert.equal(cli(home, ['save', '--check']).status, 0)
  assert.equal(cli(home, ['restart', 'a', '-q']).status, 0)
  assert.equal(cli(home, ['save', '--check']).status, 0, 'a restart changes nothing')
  assert.equal(cli(home, ['start', crash, '--name', 'dies', '--no-autorestart', '-q']).status, 0)
  const check = cli(home, ['save', '--check'])
  assert.deepEqual([check.status, check.stdout], [1, '+ dies runs and is not saved like that\n'])
  assert.deepEqual(JSON.parse(cli(home, ['save', '--check', '--json']).stdout), {
    ok: false,
    saved: [],
    running: ['dies'],
  })

  const dead = await waitFor(() => {
    const one = JSON.parse(cli(home, ['jlist']).stdout).find(({ name }) => name === 'dies')
    return one.pm2_env.status === 'stopped' && one
  })
  assert.ok(dead.pm2_env.exited_at > dead.pm2_env.pm_uptime)
  const code = dead.pm2_env.exit_code
  assert.match(cli(home, ['describe', 'dies']).stdout, new RegExp(`│ last exit +│ code ${code}, \\S+ ago`))
  const table = cli(home, ['ls', '--columns', 'id,name,exit', '--filter', 'status=stopped']).stdout
  assert.match(table, /^│ id +│ name +│ last exit +│$/m)
  assert.match(table, new RegExp(`^│ 1 +│ dies +│ code ${code}, \\S+ ago +│$`, 'm'))
  assert.doesNotMatch(table, / a /)
  assert.deepEqual(
    JSON.parse(cli(home, ['ls', '--json', '--filter', 'status!=stopped']).stdout).map(({ name }) => name),
    ['a'],
  )
  assert.equal(cli(home, ['ls', '--filter', 'stopped']).status, 1)
  const [{ pid }] = JSON.parse(cli(home, ['jlist']).stdout)
  process.kill(pid, 'SIGKILL')
  await waitFor(() => /│ SIGKILL, /.test(cli(home, ['ls', '--columns', 'name,exit']).stdout))
  assert.doesNotMatch(cli(home, ['ls']).stdout, /last exit/, 'a pipe gets the columns of pm2')
  assert.equal(cli(home, ['kill', '--timeout', '60']).status, 0)
})

test('attach and inspect talk to one app', async (t) => {
  const home = freshHome(t)
  assert.equal(cli(home, ['start', fixture('messages.js'), '--name', 'm', '-q']).status, 0)
  const child = spawn(process.execPath, [path.join(root, 'bin', 'pm2-rs'), 'attach', 'm'], {
    env: { ...process.env, PM2_HOME: home },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await waitFor(() => {
    child.stdin.write('hello\n')
    return text.includes('stdin: hello\n')
  })
  child.stdin.end()
  assert.deepEqual(await once(child, 'exit'), [0, null])
  assert.equal(cli(home, ['attach', 'nobody'], { input: '' }).status, 1)
  assert.equal(cli(home, ['stop', 'm', '-q']).status, 0)
  const stopped = cli(home, ['inspect', 'm'])
  assert.equal(stopped.status, 1)
  assert.match(stopped.stderr, /Unable to activate inspect mode on m !!!/)
  assert.equal(cli(home, ['kill']).status, 0)
})

test('with --json every command says on stdout what became of it, and nothing else', (t) => {
  const home = freshHome(t)
  const run = (...args) => JSON.parse(cli(home, [...args, '--json']).stdout)
  assert.equal(run('start', app, '--name', 'one').processes[0].name, 'one')
  for (const args of [
    ['save'],
    ['flush'],
    ['reloadLogs'],
    ['cleardump'],
    ['reset', 'one'],
    ['scale', 'one', '2'],
    ['reload', 'all'],
    ['update'],
  ]) {
    assert.equal(run(...args).ok, true, args.join(' '))
  }
  for (const args of [
    ['restart', 'nobody'],
    ['reset', 'nobody'],
    ['scale', 'one', '2'],
    ['start', '/nowhere.js'],
    ['sendSignal', 'SIGFOO', 'one'],
  ]) {
    assert.equal(run(...args).ok, false, args.join(' '))
  }
  assert.deepEqual(run('id', 'one'), [0, 1])
  assert.equal(run('pid').length, 2)
  assert.equal(run('list').length, 2)
  assert.equal(typeof run('env', '0').PATH, 'string')
  assert.equal(
    run('doctor').every(({ ok }) => ok),
    true,
  )
  assert.equal(run('kill').ok, true)
})
