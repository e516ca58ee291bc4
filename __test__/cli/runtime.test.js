'use strict'

// pm2-rs-runtime and pm2-rs-dev as real processes: streams, signals, exit codes, and as PID 1 of a namespace.

const assert = require('node:assert/strict')
const { execFileSync, spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, pidsWithEnv, root, waitFor } = require('../support/home.js')

const program = path.join(root, 'bin', 'pm2-rs-runtime')
const quick = 'console.log("done"); process.exit(7)'
// Says something only when it is ready for the signal: tests send it as soon as they have heard.
const steady = `
  process.on('SIGINT', () => { console.log('bye'); process.exit(0) })
  console.log('out'); console.error('err')
  setInterval(() => {}, 1e6)`

/** A script beside the home. */
function script(home, name, text) {
  const file = path.join(path.dirname(home), name)
  fs.writeFileSync(file, text)
  return file
}

/** Starts a program in the foreground; gives what it wrote so far, and its end. */
function start(t, home, args, { file = program, cwd = root } = {}) {
  const child = spawn(process.execPath, [file, ...args], {
    cwd,
    env: { ...process.env, PM2_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const run = { child, stdout: '', stderr: '', ended: once(child, 'close') }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      run[name] += text
    })
  }
  t.after(() => child.kill('SIGKILL'))
  return run
}

test('raw: the app has stdout and stderr for itself, and every ending signal ends it in order', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    const home = freshHome(t)
    const run = start(t, home, [script(home, 'app.js', steady), '--quiet'])
    await waitFor(() => run.stdout === 'out\n' && run.stderr === 'err\n')
    run.child.kill(signal)
    assert.deepEqual(await run.ended, [0, null])
    assert.deepEqual([run.stdout, run.stderr], ['out\nbye\n', 'err\n'], signal)
    assert.deepEqual(pidsWithEnv(`PM2_HOME=${home}`), [])
    assert.ok(!fs.existsSync(path.join(home, 'logs')), 'a container keeps no log files')
  }
})

test('exit codes tell the truth', (t) => {
  const home = freshHome(t)
  const file = script(home, 'quick.js', quick)
  const run = (...args) =>
    spawnSync(process.execPath, [program, ...args], {
      env: { ...process.env, PM2_HOME: home },
      encoding: 'utf8',
      timeout: 60_000,
    })
  assert.equal(run(file, '--no-autorestart').status, 2)
  assert.equal(run(file, '--no-autorestart', '--exit-code-from', 'quick').status, 7)
  assert.equal(run(file, '--no-autorestart').stdout, 'done\n')
  const missing = run('/nowhere/app.js')
  assert.equal(missing.status, 1)
  assert.match(missing.stderr, /Script not found: \/nowhere\/app\.js/)
  assert.equal(run('/nowhere/eco.config.js').status, 1)
  assert.equal(run().status, 1)
  assert.match(run('--version').stdout, /^\d+\.\d+\.\d+\n$/)
})

test('every mode formats all it prints', async (t) => {
  const home = freshHome(t)
  const json = start(t, home, [script(home, 'app.js', steady), '--json'])
  await waitFor(() => json.stdout.includes('"message":"err"'))
  json.child.kill('SIGTERM')
  await json.ended
  const lines = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(lines.some(({ type, message, app_name }) => type === 'out' && message === 'bye' && app_name === 'app'))
  assert.ok(lines.some(({ type }) => type === 'pm2'))

  const other = freshHome(t)
  const format = start(t, other, [script(other, 'app.js', steady), '--format'])
  await waitFor(() => format.stdout.includes('message=err'))
  format.child.kill('SIGTERM')
  await format.ended
  for (const line of format.stdout.trim().split('\n'))
    assert.match(line, /^timestamp=\S+ app=(pm2|app id=0 type=(out|error)) message=/)
})

test('a daemon that runs already is left alone', (t) => {
  const home = freshHome(t)
  assert.equal(cli(home, ['start', fixture('forever.js'), '--name', 'mine']).status, 0)
  const file = script(home, 'quick.js', quick)
  const run = (...args) =>
    spawnSync(process.execPath, [program, ...args], {
      env: { ...process.env, PM2_HOME: home },
      encoding: 'utf8',
      timeout: 60_000,
    })
  const refused = run(file)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /--attach-daemon/)
  assert.deepEqual(
    JSON.parse(cli(home, ['jlist']).stdout).map(({ name }) => name),
    ['mine'],
  )
  assert.equal(cli(home, ['kill']).status, 0)
})

test('start --no-daemon stays in the foreground', async (t) => {
  const home = freshHome(t)
  const run = start(t, home, ['start', script(home, 'app.js', steady), '--no-daemon'], {
    file: path.join(root, 'bin', 'pm2-rs'),
  })
  await waitFor(() => run.stdout.includes('0|app  | out\n'))
  run.child.kill('SIGTERM')
  assert.deepEqual(await run.ended, [0, null])
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${home}`), [])
})

test('pm2-rs-dev shows the logs and ends with exit code 0', async (t) => {
  const home = freshHome(t)
  const file = script(home, 'app.js', steady)
  const run = start(t, home, [file], { file: path.join(root, 'bin', 'pm2-rs-dev') })
  await waitFor(() => run.stdout.includes('0|app  | out\n'))
  run.child.kill('SIGINT')
  assert.deepEqual(await run.ended, [0, null])
  assert.match(run.stdout, /\[PM2 DEV\] Stopping current development session/)
})

test('pm2-rs-dev restarts on a change, but not of what is ignored, and runs a line after each start', async (t) => {
  const home = freshHome(t)
  const file = script(home, 'app.js', steady)
  const told = path.join(path.dirname(home), 'told')
  const ignored = script(home, 'ignored.txt', '')
  const line = `echo started >> '${told}'; echo said by the line`
  const words = [file, '--ignore', 'ignored.txt,told,home', '--post-exec', line]
  const run = start(t, home, words, { file: path.join(root, 'bin', 'pm2-rs-dev'), cwd: path.dirname(home) })
  const starts = () => (fs.existsSync(told) ? fs.readFileSync(told, 'utf8').split('\n').length - 1 : 0)
  await waitFor(() => starts() === 1 && run.stdout.includes('said by the line\n'))
  fs.appendFileSync(ignored, 'x')
  // A watcher needs a moment until it sees anything: a change is made until it is seen, with the quiet after it that
  // a change is acted on.
  let last = 0
  await waitFor(() => {
    if (Date.now() - last > 1000) {
      fs.appendFileSync(file, '\n')
      last = Date.now()
    }
    return run.stdout.includes('[rundev] App app restarted')
  })
  await waitFor(() => starts() >= 2)
  run.child.kill('SIGINT')
  assert.deepEqual(await run.ended, [0, null])
})

test('as PID 1 it reaps orphans and ends in order', async (t) => {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' })
  } catch {
    return t.skip('no PID namespace may be made here')
  }
  const home = freshHome(t)
  // The grandchild loses its parent at once; what it becomes is told by the app, from its own /proc.
  const app = script(
    home,
    'app.js',
    `
    const { execFileSync } = require('node:child_process')
    const { readdirSync, readFileSync } = require('node:fs')
    process.on('SIGTERM', () => {})
    execFileSync('sh', ['-c', '(sleep 0.1 &) ; exit 0'])
    setInterval(() => {
      const states = readdirSync('/proc').filter((pid) => /^\\d+$/.test(pid)).map((pid) => {
        try { return readFileSync('/proc/' + pid + '/stat', 'latin1') } catch { return '' }
      })
      const sleeping = states.some((stat) => stat.includes('(sleep)') && !stat.includes(') Z'))
      if (!sleeping) console.log('zombies ' + states.filter((stat) => stat.includes(') Z')).length)
    }, 50)`,
  )
  const args = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, program, app, '--quiet']
  const child = spawn('unshare', args, {
    env: { ...process.env, PM2_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await waitFor(() => text.includes('zombies 0\n'))
  const inside = fs.readdirSync('/proc').find((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`pm2d\0runtime\0${app}`)
    } catch {
      return false
    }
  })
  process.kill(Number(inside), 'SIGTERM')
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
})

/** Whether PID namespaces may be made here; else the test is skipped, with the reason. */
function mayUnshare(t) {
  const { status, stderr } = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { encoding: 'utf8' })
  if (status !== 0) t.skip(`no PID namespace may be made here: ${(stderr ?? 'no unshare').trim()}`)
  return status === 0
}

/** The runtime as PID 1 of a namespace: a child process and what it wrote, and the pid that PID 1 has outside. */
function startFirst(t, home, args) {
  const child = spawn(
    'unshare',
    ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, program, ...args],
    {
      env: { ...process.env, PM2_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  t.after(() => child.kill('SIGKILL'))
  const run = { child, stdout: '', stderr: '', ended: once(child, 'close') }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      run[name] += text
    })
  }
  const isFirst = (pid) => {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1')
    return /^NSpid:\t\d+\t1$/m.test(status) && /^PPid:\t(\d+)$/m.exec(status)[1] === String(child.pid)
  }
  run.first = () =>
    pidsWithEnv(`PM2_HOME=${home}`).find((pid) => {
      try {
        return isFirst(pid)
      } catch {
        return false
      }
    })
  return run
}

/** Names and sizes of everything below a folder that is a file. */
function sizes(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath ?? entry.path, entry.name)
    return entry.isFile() ? [[path.relative(folder, file), fs.statSync(file).size]] : []
  })
}

test("as PID 1: SIGTERM is a graceful exit, signals are handed on, exit codes are the app's", async (t) => {
  if (!mayUnshare(t)) return
  const home = freshHome(t)
  const app = script(
    home,
    'app.js',
    `for (const signal of ['SIGUSR2', 'SIGINT']) process.on(signal, () => {
      console.log('got ' + signal)
      if (signal === 'SIGINT') setTimeout(() => process.exit(0), 100)
    })
    setInterval(() => {}, 1e6)
    console.log('up')`,
  )
  const run = startFirst(t, home, [app, '--quiet'])
  await waitFor(() => run.stdout.includes('up\n'))
  const first = await waitFor(run.first)
  process.kill(first, 'SIGUSR2')
  await waitFor(() => run.stdout.includes('got SIGUSR2\n'))
  process.kill(first, 'SIGTERM')
  assert.deepEqual(await run.ended, [0, null])
  assert.deepEqual([run.stdout, run.stderr], ['up\ngot SIGUSR2\ngot SIGINT\n', ''])
  const quickly = (...args) => startFirst(t, home, args).ended
  const file = script(home, 'quick.js', quick)
  assert.deepEqual(await quickly(file, '--no-autorestart', '--exit-code-from', 'quick'), [7, null])
  assert.deepEqual(await quickly(file, '--no-autorestart'), [2, null])
  assert.deepEqual(await quickly('/nowhere/app.js'), [1, null])
  assert.deepEqual(await quickly(script(home, 'bad.config.js', 'module.exports = { apps: [{ name: 1 ')), [1, null])
  assert.deepEqual(await quickly(script(home, 'wrong.json', '{"apps":[{"script":"app.js","instances":{}}]}')), [
    1,
    null,
  ])
})

test('as PID 1: an orphan of an orphan is no zombie, also when its parent is PID 1', async (t) => {
  if (!mayUnshare(t)) return
  const home = freshHome(t)
  // The daemon's own family is left by a second fork and a session of its own: what is orphaned then goes to PID 1.
  const app = script(
    home,
    'app.js',
    `const { spawnSync } = require('node:child_process')
    const { readdirSync, readFileSync } = require('node:fs')
    for (let n = 0; n < 20; n++) spawnSync('setsid', ['sh', '-c', '(sleep 0.0' + n + ' & exec sleep 0.05) & (true &) ; exit 0'])
    setInterval(() => {
      const stats = readdirSync('/proc').filter((pid) => /^\\d+$/.test(pid)).map((pid) => {
        try { return readFileSync('/proc/' + pid + '/stat', 'latin1') } catch { return '' }
      })
      if (!stats.some((stat) => /\\((sleep|sh|true)\\)/.test(stat))) console.log('all gone')
    }, 20)`,
  )
  const run = startFirst(t, home, [app, '--quiet'])
  await waitFor(() => run.stdout.includes('all gone\n'))
  process.kill(await waitFor(run.first), 'SIGTERM')
  assert.deepEqual(await run.ended, [0, null])
})

test('no file below the home grows', async (t) => {
  const home = freshHome(t)
  const chatty = script(
    home,
    'chatty.js',
    `setInterval(() => { console.log('x'.repeat(2000)); console.error('y') }, 1)`,
  )
  const own = path.join(path.dirname(home), 'own.log')
  const config = script(
    home,
    'eco.config.js',
    `module.exports = { apps: [
      { name: 'plain', script: ${JSON.stringify(chatty)} },
      { name: 'own', script: ${JSON.stringify(chatty)}, out_file: ${JSON.stringify(own)}, log_file: true },
    ] }`,
  )
  const run = start(t, home, [config, '--json'])
  await waitFor(() => run.stdout.length > 200_000 && fs.existsSync(own))
  const before = sizes(home)
  const had = run.stdout.length
  await waitFor(() => run.stdout.length > had + 500_000)
  assert.deepEqual(sizes(home), before)
  assert.deepEqual(
    before.filter(([name]) => name.endsWith('.log')),
    [],
    'no log file in the home',
  )
  assert.ok(fs.statSync(own).size > 0, 'a log file that was named is written')
  for (const line of run.stdout.split('\n').slice(0, -1)) JSON.parse(line)
  run.child.kill('SIGTERM')
  assert.deepEqual(await run.ended, [0, null])
})

test('--web: health for probes, host and processes without secrets', async (t) => {
  const home = freshHome(t)
  const app = script(
    home,
    'app.js',
    `const fs = require('node:fs')
    console.log('up')
    setInterval(() => { if (fs.existsSync(${JSON.stringify(`${home}.end`)})) process.exit(1) }, 20)`,
  )
  const run = start(t, home, [app, '--web=0', '--restart-delay=1000000', '--', '--password=s3cret'])
  run.child.stdout.resume()
  await waitFor(() => run.stdout.includes('up\n') && run.stderr.includes('/health'))
  const url = `http://127.0.0.1:${/:(\d+)\/ and/.exec(run.stderr)[1]}`
  const health = async () => {
    const answer = await fetch(`${url}/health`)
    return [answer.status, (await answer.json()).processes.map(({ name, status }) => `${name} ${status}`).join()]
  }
  await waitFor(async () => (await health())[0] === 200)
  assert.deepEqual(await health(), [200, 'app online'])
  const all = await fetch(url)
  assert.match(all.headers.get('content-type'), /^application\/json/)
  const text = await all.text()
  assert.doesNotMatch(text, /s3cret|PATH/)
  const { system_info, monit, processes } = JSON.parse(text)
  assert.ok(system_info.hostname && system_info.uptime > 0 && monit.total_mem > monit.free_mem)
  assert.deepEqual(
    processes.map(({ name, pm2_env }) => [name, pm2_env.status]),
    [['app', 'online']],
  )
  assert.equal((await fetch(`${url}/other`)).status, 404)
  assert.equal((await fetch(url, { method: 'POST', body: 'x' })).status, 405)
  // An open connection that says nothing keeps nobody from being served, nor the program from ending.
  const silent = require('node:net').connect(Number(new URL(url).port), '127.0.0.1')
  t.after(() => silent.destroy())
  silent.on('error', () => {})
  silent.write('nonsense\r\n\r\n')
  fs.writeFileSync(`${home}.end`, '')
  await waitFor(async () => (await health())[0] === 503)
  assert.deepEqual(await health(), [503, 'app waiting restart'])
  run.child.kill('SIGTERM')
  assert.deepEqual(await run.ended, [0, null])
})

test('--web on a port that is taken starts nothing', async (t) => {
  const home = freshHome(t)
  const server = require('node:net').createServer().listen(0, '0.0.0.0')
  t.after(() => server.close())
  await once(server, 'listening')
  const run = start(t, home, [script(home, 'app.js', steady), `--web=${server.address().port}`])
  assert.deepEqual(await run.ended, [1, null])
  assert.match(run.stderr, /cannot listen on 0\.0\.0\.0:\d+ for --web/)
})

/** A new cgroup, of version 2 or 1, and how it is limited to one processor. */
function processorLimit() {
  const name = `pm2-rs-test-${process.pid}`
  const kinds = [
    ['/sys/fs/cgroup', 'cpu.max', '100000 100000'],
    ['/sys/fs/cgroup/cpu', 'cpu.cfs_quota_us', '100000'],
  ]
  for (const [root, file, value] of kinds) {
    if (!fs.existsSync(`${root}/cgroup.procs`)) continue
    const group = `${root}/${name}`
    try {
      fs.mkdirSync(group)
    } catch {
      continue
    }
    if (fs.existsSync(`${group}/${file}`)) return { group, set: () => fs.writeFileSync(`${group}/${file}`, value) }
    fs.rmdirSync(group)
  }
}

test('-i max counts the processors that the cgroup allows', async (t) => {
  const limit = processorLimit()
  if (limit === undefined) return t.skip('no cgroup that limits processors can be made here')
  const { group, set } = limit
  t.after(async () => {
    await waitFor(() => fs.readFileSync(`${group}/cgroup.procs`, 'utf8') === '')
    fs.rmdirSync(group)
  })
  set()
  const home = freshHome(t)
  const app = script(home, 'app.js', steady)
  // The shell puts itself in, then becomes the runtime.
  const args = ['-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, process.execPath, program, app, '-i', 'max']
  const child = spawn('sh', args, { env: { ...process.env, PM2_HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const ended = once(child, 'close')
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  child.stdout.resume()
  await waitFor(() => /App \[app:0\] online/.test(text))
  const listed = JSON.parse(cli(home, ['jlist']).stdout)
  assert.equal(listed.length, 1, 'one processor is allowed: one instance, on any machine')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
})
