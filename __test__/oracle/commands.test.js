'use strict'

// The command line against stock pm2 in a twin home: the same exit codes, the same markers on the same stream, the same
// shape of what machines read. Where ours differs on purpose the row says so (docs/differences.md).

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { runInNewContext } = require('node:vm')

const { fixture, freshHome, root } = require('../support/home.js')
const { families, files } = require('./commands_rows.js')

const bins = {
  ours: { pm2: path.join(root, 'bin/pm2-rs'), runtime: path.join(root, 'bin/pm2-rs-runtime') },
  stock: {
    pm2: path.join(root, 'node_modules/pm2/bin/pm2'),
    runtime: path.join(root, 'node_modules/pm2/bin/pm2-runtime'),
  },
}

/** Runs one side; both sides run at the same time. */
function call(side, home, args, { input = '', program = 'pm2', wrapper = [] } = {}) {
  const cwd = path.dirname(home)
  const env = { ...process.env, NO_COLOR: '1', PM2_HOME: home, PWD: cwd, PM2_DISABLE_VERSION_CHECK: 'true' }
  delete env.PM2_PROGRAMMATIC
  const [command, ...rest] = [...wrapper, process.execPath, bins[side][program], ...args]
  return new Promise((resolve) => {
    const child = execFile(command, rest, { env, cwd, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ status: error ? error.code : 0, signal: error?.signal, stdout, stderr })
    })
    child.stdin.end(input)
  })
}

function twins(t, prepare = (_folder) => {}) {
  const homes = { ours: freshHome(t), stock: freshHome(t) }
  for (const home of Object.values(homes)) {
    prepare(path.dirname(home))
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(path.dirname(home), name), text)
  }
  return async (args, options) => {
    const [ours, stock] = await Promise.all([
      call('ours', homes.ours, args, options),
      call('stock', homes.stock, args, options),
    ])
    return { ours, stock }
  }
}

const shown = (args, { ours, stock }) =>
  `${args.join(' ')}\nours: ${ours.status}\n${ours.stdout}\n${ours.stderr}\nstock: ${stock.status}\n${stock.stdout}\n${stock.stderr}`

for (const [family, rows] of Object.entries(families)) {
  test(family, async (t) => {
    const both = twins(t)
    // The first call in a new home prints a banner.
    await both(['ping'])
    const wrong = []
    for (const [args, stdout, stderr, more = {}] of rows) {
      const { ours, stock } = await both(args, { input: more.input })
      const expect = (holds, what) => holds || wrong.push(`${what}: ${shown(args, { ours, stock })}`)
      if (more.theirs !== undefined) expect(stock.status === more.theirs, `stock ends with ${more.theirs}`)
      expect(ours.status === (more.ours ?? stock.status), 'exit code')
      for (const [stream, markers] of Object.entries({ stdout, stderr })) {
        for (const marker of markers) {
          expect(stock[stream].includes(marker), `stock has "${marker}" on ${stream}`)
          const here = ours[stream].includes(marker) || (more.on && ours[more.on].includes(marker))
          expect(here, `ours has "${marker}" on ${stream}`)
        }
      }
    }
    assert.equal(wrong.length, 0, wrong.join('\n----\n'))
    assert.equal((await both(['kill'])).ours.status, 0)
  })
}

/** Keys of a value, deep, without what depends on the caller's variables. */
const keys = (value) => Object.keys(value).sort()

test('the shape of what machines read', async (t) => {
  const both = twins(t)
  await both(['ping'])
  await both(['start', fixture('forever.js'), '--name', 'one', '--', 'x'])
  await both(['restart', 'one'])

  const jlist = await both(['jlist'])
  const [ours, stock] = [JSON.parse(jlist.ours.stdout), JSON.parse(jlist.stock.stdout)]
  assert.equal(jlist.ours.stdout.endsWith('\n'), jlist.stock.stdout.endsWith('\n'))
  assert.deepEqual(keys(ours[0]), keys(stock[0]))
  assert.deepEqual(keys(ours[0].monit), keys(stock[0].monit))
  // A variable named like the app (Q10) is left out on purpose.
  const known = keys(stock[0].pm2_env).filter((key) => key !== 'one')
  const kinds = ({ pm2_env }) => Object.fromEntries(known.map((key) => [key, typeof pm2_env[key]]))
  assert.deepEqual(kinds(ours[0]), kinds(stock[0]))

  const pretty = await both(['prettylist'])
  const read = (text) => JSON.parse(JSON.stringify(runInNewContext(`(${text})`)))
  assert.deepEqual(keys(read(pretty.ours.stdout)[0]), keys(read(pretty.stock.stdout)[0]))
  assert.equal(
    pretty.ours.stdout.split('\n')[1],
    pretty.stock.stdout.split('\n')[1].replace(/\d+/, String(ours[0].pid)),
  )

  const cells = (line) => line.split('│').map((cell) => cell.trim())
  const table = await both(['ls'])
  const head = ({ stdout }) => cells(stdout.split('\n').find((line) => line.startsWith('│ id')))
  assert.deepEqual(head(table.ours), head(table.stock))
  const width = ({ stdout }) => stdout.split('\n').find((line) => line.startsWith('┌')).length
  assert.equal(width(table.ours), width(table.stock))

  const described = await both(['describe', 'one'])
  const rows = ({ stdout }) => {
    const lines = stdout.split('\n')
    const end = lines.findIndex((line) => line.startsWith('└'))
    return lines.slice(0, end).flatMap((line) => (line.startsWith('│') ? [cells(line)[1]] : []))
  }
  assert.deepEqual(
    rows(described.ours).filter((row) => row !== 'last exit'),
    rows(described.stock),
  )

  const mini = await both(['ls', '-m'])
  const fields = ({ stdout }) => stdout.split('\n').map((line) => line.split(' : ')[0])
  assert.deepEqual(fields(mini.ours), fields(mini.stock))

  const pids = await both(['pid', 'one'])
  assert.match(pids.ours.stdout, /^\d+\n$/)
  assert.match(pids.stock.stdout, /^\d+\n$/)

  assert.equal((await both(['save'])).ours.status, 0)
  const dumps = await both(['kill'])
  assert.equal(dumps.ours.status, 0)
})

test('startup as an ordinary user: the last line is what is run as root', async (t) => {
  const user = ['setpriv', '--reuid', '65534', '--clear-groups']
  const both = twins(t, (folder) => process.getuid() === 0 && fs.chownSync(folder, 65534, 65534))
  const tried = await both(['startup', 'systemd', '-u', 'deploy', '--hp', '/home/deploy'], { wrapper: user })
  if (tried.ours.status === 'ENOENT' || tried.ours.status === 127 || process.getuid() !== 0) {
    return t.diagnostic('no other user can be had here')
  }
  for (const verb of ['startup', 'unstartup']) {
    const { ours, stock } = await both([verb, 'systemd', '-u', 'deploy', '--hp', '/home/deploy'], { wrapper: user })
    const what = shown([verb], { ours, stock })
    assert.deepEqual([ours.status, stock.status], [1, 1], what)
    for (const side of [ours, stock]) {
      assert.match(side.stdout, /\[PM2\] Init System found: /, what)
      assert.match(side.stdout, /copy\/paste the following command:/, what)
      const last = side.stdout.trimEnd().split('\n').at(-1)
      assert.match(last, new RegExp(`^sudo env PATH=\\$PATH\\S* \\S+ ${verb} systemd -u deploy --hp /`), what)
    }
  }
})

test('pm2-runtime: words, version, and the end when all apps have ended', async (t) => {
  const both = twins(t)
  for (const args of [[], ['--version'], ['--help']]) {
    const { ours, stock } = await both(args, { program: 'runtime' })
    assert.equal(ours.status, stock.status, shown(args, { ours, stock }))
  }
  const args = ['start', fixture('crash.js'), '--no-autorestart']
  const { ours, stock } = await both(args, { program: 'runtime' })
  const what = shown(args, { ours, stock })
  assert.equal(ours.status, 2, what)
  // Stock ends its daemon first, which is the same process: whichever of the two exits comes first gives the code.
  assert.ok([0, 2].includes(stock.status), what)
})
