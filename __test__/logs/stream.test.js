'use strict'

// `streamLogs(target, options)`: lines for programs.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const zlib = require('node:zlib')
const { freshClient, waitFor } = require('../support/home.js')

async function echoes(t, apps) {
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'logs')
  fs.mkdirSync(folder)
  const script = path.join(folder, 'echo.sh')
  fs.writeFileSync(script, 'while IFS= read -r line; do echo "$line"; done\n')
  const file = (name) => path.join(folder, `${name}.log`)
  await pm2.connect()
  await pm2.start(
    Object.entries(apps).map(([name, options]) => ({
      name,
      script,
      interpreter: '/bin/sh',
      out_file: file(name),
      error_file: '/dev/null',
      merge_logs: true,
      ...options,
    })),
  )
  const ids = new Map((await pm2.list()).map(({ name, pm_id }) => [name, pm_id]))
  const say = (name, line) => pm2.sendLineToStdin(ids.get(name), line)
  return { pm2, file, say }
}

async function take(lines, count) {
  const taken = []
  while (taken.length < count) {
    const { value, done } = await lines.next()
    if (done) break
    taken.push(value)
  }
  return taken
}

test('the last lines of several files come merged by time', async (t) => {
  const { pm2, file } = await echoes(t, { one: {}, two: {}, three: {} })
  fs.writeFileSync(file('one'), '2026-01-01T10:00:00: a\n2026-01-01T10:00:02: c\nbelongs to c\n')
  fs.writeFileSync(file('two'), 'cut off\n2026-01-01T10:00:01: b\n{"message":"x\\n"}\n'.replace(/\{.*\n/, ''))
  const json = { message: 'd\n', timestamp: '2026-01-01T10:00:03', type: 'err', process_id: 7, app_name: 'json' }
  fs.writeFileSync(file('three'), `${JSON.stringify(json)}\nno line end yet`)
  fs.writeFileSync(`${file('two')}.1`, 'not asked for\n2026-01-01T09:00:00: old\n')
  const lines = []
  for await (const line of pm2.streamLogs('all', { lines: 3, follow: false })) lines.push(line)
  assert.deepEqual(
    lines.map(({ line }) => line.replace(/^[\dT:-]+: /, '')),
    ['old', 'cut off', 'a', 'b', 'c', 'belongs to c', JSON.stringify(json)],
  )
  assert.deepEqual(
    lines.map(({ name }) => name),
    ['two', 'two', 'one', 'two', 'one', 'one', 'json'],
  )
  assert.equal(lines[6].type, 'err')
  assert.equal(lines[6].at.getTime(), new Date(2026, 0, 1, 10, 0, 3).getTime())
  const only = await take(pm2.streamLogs(/^tw/, { lines: 1, follow: false }), 9)
  assert.deepEqual(
    only.map(({ line }) => line),
    ['2026-01-01T10:00:01: b'],
  )
})

test('lines between two moments come from all files, old and compressed ones too', async (t) => {
  const { pm2, file } = await echoes(t, { one: {}, two: {}, bare: {} })
  const at = (minute) => `2026-01-01T10:${String(minute).padStart(2, '0')}:00`
  const line = (minute) => `${at(minute)}: ${minute}`
  const text = (from, to) => {
    let lines = ''
    for (let minute = from; minute <= to; minute++) lines += `${line(minute)}\nbelongs to ${minute}\n`
    return lines
  }
  fs.writeFileSync(file('one'), text(20, 29))
  fs.writeFileSync(`${file('one')}.1`, text(10, 19))
  fs.writeFileSync(`${file('one')}.2.gz`, zlib.gzipSync(text(0, 9)))
  fs.writeFileSync(file('two'), `cut off\n${line(15)}\n${line(25)}\n`)
  fs.writeFileSync(file('bare'), 'without a time\n'.repeat(200_000))
  const take = async (options) => {
    const lines = []
    for await (const { line } of pm2.streamLogs('all', { follow: false, ...options }))
      lines.push(line.replace(/^[\dT:-]+: /, ''))
    return lines
  }
  const both = (from, to) =>
    Array.from({ length: to - from + 1 }, (_, index) => [`${from + index}`, `belongs to ${from + index}`]).flat()
  const since = (minute) => new Date(2026, 0, 1, 10, minute)
  assert.deepEqual(await take({ since: since(28) }), both(28, 29))
  assert.deepEqual(await take({ since: at(24) }), [...both(24, 25), '25', ...both(26, 29)])
  assert.deepEqual(await take({ since: since(8).getTime(), until: at(11) }), both(8, 11))
  assert.deepEqual(await take({ until: since(0) }), both(0, 0))
  assert.deepEqual(await take({ since: since(0), lines: 2 }), ['15', '25', ...both(29, 29)])
  assert.deepEqual(await take({ until: since(16), lines: 2 }), ['15', ...both(16, 16)])
  assert.deepEqual(await take({ since: '1d' }), [])
  // It ends by itself, although it was not told not to follow.
  assert.deepEqual(await take({ since: since(3), until: since(3), follow: undefined }), both(3, 3))
  assert.throws(() => pm2.streamLogs('all', { since: 'yesterday' }), /since: yesterday is no time/)
})

test('it follows through rotations, restarts and new apps, and ends when asked', { timeout: 120_000 }, async (t) => {
  const { pm2, file, say } = await echoes(t, { web: { log_max_size: 20, log_compress: true }, other: {} })
  await say('web', 'before')
  await waitFor(() => fs.readFileSync(file('web'), 'utf8') === 'before\n')
  const lines = pm2.streamLogs('web', { lines: 5 })
  assert.equal((await take(lines, 1))[0].line, 'before')
  const wanted = []
  for (let number = 0; number < 60; number++) {
    wanted.push(`line ${number}`)
    await say('web', `line ${number}`)
    await say('other', 'not asked for')
    if (number % 7 === 0)
      await waitFor(() => fs.existsSync(`${file('web')}.1`) || fs.existsSync(`${file('web')}.1.gz`) || number === 0)
    if (number === 30) {
      // What was sent is said before it ends.
      await waitFor(() => fs.readFileSync(file('web'), 'utf8').includes('line 30'))
      await pm2.restart('web')
    }
    if (number % 4 === 3) {
      const got = await take(lines, 4)
      assert.deepEqual(
        got.map(({ line }) => line),
        wanted.slice(-4),
      )
      assert.equal(got[0].name, 'web')
    }
  }
  const late = lines.next()
  await lines.return()
  assert.deepEqual(await late, { value: undefined, done: true })
  assert.deepEqual(await lines.next(), { value: undefined, done: true })
})

test('an AbortSignal ends it, and an app that comes later is heard', async (t) => {
  const { pm2, file, say } = await echoes(t, { first: {} })
  const abort = new AbortController()
  const got = []
  const reading = (async () => {
    for await (const { name, line } of pm2.streamLogs('all', { signal: abort.signal })) got.push(`${name} ${line}`)
  })()
  await waitFor(async () => {
    await say('first', 'x')
    return got.length > 0
  })
  await pm2.start({
    name: 'second',
    script: path.join(path.dirname(file('x')), 'echo.sh'),
    interpreter: '/bin/sh',
    out_file: file('second'),
    error_file: '/dev/null',
    merge_logs: true,
  })
  await waitFor(async () => {
    await pm2.sendLineToStdin(1, 'y')
    return got.includes('second y')
  })
  abort.abort()
  await reading
})
