// What the benchmarks count with: a wrong median or a cut line that is counted as whole would make every figure worthless.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { tornCharacters, wholeLines } from '../bench/tools/flood.mjs'
import { atLeastFloor, atMost, atMostPeer } from '../bench/tools/goals.mjs'
import { failed, load, startLoad, unevenness } from '../bench/tools/load.mjs'
import { removeNative } from '../bench/tools/native.mjs'
import { measured } from '../bench/tools/round.mjs'
import { exponent, quantile, slope } from '../bench/tools/stats.mjs'
import { markdown } from '../bench/tools/table.mjs'
import { until } from '../bench/tools/until.mjs'

const run = fileURLToPath(new URL('../bench/run.mjs', import.meta.url))

test('quantiles are of the values, whatever their order', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2)
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1).reverse()
  assert.equal(quantile(hundred, 0.99), 99)
  assert.throws(() => quantile([], 0.5))
})

test('exponent and slope of what is known', () => {
  const sizes = [10, 100, 1000]
  assert.ok(Math.abs(exponent(sizes.map((size) => [size, 7 * size ** 1.5])) - 1.5) < 1e-9)
  assert.ok(Math.abs(slope(sizes.map((size) => [size, 50_000 + 17 * size])) - 17) < 1e-9)
})

test('a line that is cut, doubled or foreign is not counted', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm2-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'out.log')
  const line = (number) => `#${String(number).padStart(12, '0')} ${'x'.repeat(25)}\n`
  const write = (...lines) => writeFileSync(file, lines.join(''))

  write(line(0), line(1), line(2), line(3))
  assert.equal(wholeLines(file, 4, 40), 4)
  write(`2026-11-22T11:00:00: ${line(0)}`, `2026-11-22T11:00:00: ${line(1)}`)
  assert.equal(wholeLines(file, 2, 40), 2, 'a time stamp before the line')
  write(line(0), line(1).replace('xxx', 'x2026-11-22T11:00:00: xx'), line(2))
  assert.equal(wholeLines(file, 3, 40), 2, 'a time stamp in the middle of a line')
  write(line(0), line(0), line(7), 'something else\n', line(1).slice(0, -1))
  assert.equal(wholeLines(file, 2, 40), 1, 'twice, a number too large, foreign text, no end')
  write(Array.from({ length: 200_000 }, (_, number) => line(number)).join(''))
  assert.equal(wholeLines(file, 200_000, 40), 200_000, 'more than one buffer')
})

test('torn characters are counted, also where two buffers meet', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm2-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'out.log')
  for (const before of [0, 1, 2, 3, 4]) {
    writeFileSync(file, `${'x'.repeat((4 << 20) - before)}\ufffd\u20ac\ufffd\ufffd`)
    assert.equal(tornCharacters(file), 3, `${before} bytes before the end of a buffer`)
  }
  writeFileSync(file, '')
  assert.equal(tornCharacters(file), 0)
})

test('goals are judged from the same run, or not at all', () => {
  assert.equal(atMost(5, 'ms').met({ ours: 5 }), true)
  assert.equal(atMost(5, 'ms').met({ ours: 5.1 }), false)
  assert.equal(atLeastFloor(0.9).met({ ours: 89, floor: 100 }), false)
  assert.equal(atLeastFloor(0.9).met({ ours: 89 }), undefined)
  assert.equal(atMostPeer(0.25).met({ ours: 1, pm2: 4 }), true)
})

const hasCompiler = spawnSync(process.env.CC ?? 'cc', ['--version']).status === 0

test('the load counts each request as what became of it', { skip: !hasCompiler && 'no C compiler' }, async (t) => {
  t.after(removeNative)
  let turn = 0
  const connections = new Set()
  const server = createServer((_request, response) => {
    turn += 1
    if (turn % 5 === 1) response.socket.destroy()
    else if (turn % 5 === 2) response.writeHead(500).end('no')
    else if (turn % 5 === 3) response.writeHead(200, { 'content-length': '9' }).write('half', () => response.destroy())
    else response.end(`w${turn % 5}`)
  })
  server.on('connection', (socket) => connections.add(socket))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address()
  for (const kind of ['new', 'keep']) {
    const under = startLoad({ port, kind, clients: 1 })
    const enough = turn + 25
    await until('requests', () => turn >= enough)
    const counts = await under.stop()
    const { requests, answered, reset, cut, status, hung, refused } = counts
    assert.equal(failed(counts), reset + cut + status)
    assert.equal(requests, answered + reset + cut + status)
    assert.deepEqual([hung, refused], [0, 0])
    assert.deepEqual(Object.keys(counts.workers).sort(), ['w0', 'w4'])
    assert.ok(status > 0 && reset + cut > status)
    assert.ok(unevenness(counts) < 100)
  }
  server.removeAllListeners('request')
  connections.clear()
  const waiting = startLoad({ port, kind: 'new', clients: 2, timeout: 200 })
  await until('connections', () => connections.size >= 2)
  const silent = await waiting.stop()
  assert.ok(silent.hung >= 2 && silent.hung === silent.requests)
  const { connections: opened } = await load({ port, kind: 'drop', seconds: 30 })
  assert.equal(opened, 30)
  for (const socket of connections) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  const nobody = await load({ port, kind: 'new', clients: 1, seconds: 1 })
  assert.ok(nobody.refused > 0 && nobody.refused === nobody.requests)
})

test('a missing figure is an error, not an empty cell', async () => {
  const rows = { a: { what: 'a', unit: 'ms', better: 'lower' } }
  const take = (numbers) => measured(async () => numbers, rows, { limit: 10_000, required: Object.keys(rows) })
  await assert.rejects(take({}), /no figure for "a"/)
  await assert.rejects(take({ a: Number.NaN }), /no figure for "a"/)
  await assert.rejects(take({ a: 1, b: 2 }), /"b", which is no row/)
  assert.deepEqual(await take({ a: 1 }), { a: 1 })
})

test('the table says who failed, and marks a goal that is missed', () => {
  const one = (value) => ({ median: value, min: value, max: value })
  const rows = [
    { what: 'fast', unit: 'ms', better: 'lower', goal: atMost(5, 'ms'), ours: one(2), pm2: one(8) },
    {
      what: 'slow',
      unit: 'ms',
      better: 'lower',
      goal: atMost(1, 'ms'),
      ours: one(2),
      pm2: { failed: 'no daemon\nstack' },
    },
  ]
  const [, , fast, slow] = markdown(rows).split('\n')
  assert.equal(fast, '| fast | ms | 8 | 2 | 4 |  | <= 5 ms | yes |')
  assert.equal(slow, '| slow | ms | FAILED: no daemon | 2 |  |  | <= 1 ms | **no** |')
})

test('what it does not know it refuses', () => {
  for (const args of [['nonsense'], ['--peer', 'systemd'], ['--rounds', '0']]) {
    const { status, stderr } = spawnSync(process.execPath, [run, ...args], { encoding: 'utf8' })
    assert.equal(status, 1, stderr)
  }
})

test('a run against pm2 gives figures and leaves nothing behind', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm2-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const table = execFileSync(process.execPath, [run, 'install', '--peer', 'pm2', '--rounds', '1'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, PM2_BENCH_RESULTS: folder },
  })
  assert.match(table, /runtime install, packages \|\s+\| 77 \|/)
})
