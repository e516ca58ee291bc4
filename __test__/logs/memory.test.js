'use strict'

// A line of 100 MB costs the daemon no memory, and arrives, in every form that logs have.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
const { test } = require('node:test')
const { freshClient, waitFor } = require('../support/home.js')

const SIZE = 100_000_000
/** The daemon may need so much more for a moment, in kB: the pieces in which the line travels. */
const MORE = 6 * 1024

// Bytes that are no UTF-8, and zeros, too: nothing may depend on what they mean. `text`: for JSON, which can hold no others.
const app = `
const [form, size] = process.argv.slice(2)
const fs = require('fs')
const piece = form === 'text' ? Buffer.alloc(1e6, 'a \\u20ac') : Buffer.alloc(1e6, 'a\\0\\xff\\xfe b', 'latin1')
const write = (bytes) => {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(1, bytes, done)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
    }
  }
}
write(Buffer.from('before\\n'))
for (let written = 0; written < Number(size); written += piece.length) write(piece)
write(Buffer.from('\\nafter\\n'))
setInterval(() => {}, 1e6)
`

const piece = { bytes: Buffer.alloc(1e6, 'a\0\xff\xfe b', 'latin1'), text: Buffer.alloc(1e6, 'a \u20ac') }

/** Whether `file` is `before`, the long line and `after`, with `stamp` bytes in front of each line. */
function holds(file, form, stamp) {
  const fd = fs.openSync(file, 'r')
  const read = (length) => {
    const bytes = Buffer.alloc(length)
    assert.equal(fs.readSync(fd, bytes, 0, length), length)
    return bytes
  }
  try {
    assert.equal(
      read(stamp + 7)
        .subarray(stamp)
        .toString(),
      'before\n',
    )
    read(stamp)
    for (let at = 0; at < SIZE; at += 1e6) assert.ok(read(1e6).equals(piece[form]), `different behind ${at} bytes`)
    assert.equal(read(1).toString(), '\n')
    assert.equal(
      read(stamp + 6)
        .subarray(stamp)
        .toString(),
      'after\n',
    )
    assert.equal(fs.readSync(fd, Buffer.alloc(1)), 0)
  } finally {
    fs.closeSync(fd)
  }
}

async function holdsJson(file) {
  let [length, said] = [0, '']
  for await (const line of readline.createInterface({ input: fs.createReadStream(file) })) {
    const { message } = JSON.parse(line)
    assert.ok(!message.includes('\ufffd'), 'no character is torn')
    if (/^(before|after)\n$/.test(message)) said += message
    else length += Buffer.byteLength(message)
  }
  assert.equal(said, 'before\nafter\n')
  assert.equal(length, SIZE + 1)
}

test('a line of 100 MB does not grow the daemon', { timeout: 300_000 }, async (t) => {
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'logs')
  fs.mkdirSync(folder)
  const script = path.join(folder, 'line.js')
  fs.writeFileSync(script, app)
  const file = path.join(folder, 'out.log')
  const ways = {
    plain: [{}, 'bytes', () => holds(file, 'bytes', 0)],
    stamped: [{ time: true }, 'bytes', () => holds(file, 'bytes', '2026-01-01T00:00:00: '.length)],
    merged: [{ error_file: file }, 'bytes', () => holds(file, 'bytes', 0)],
    rotated: [{ log_max_size: '1G', log_compress: true }, 'bytes', () => holds(file, 'bytes', 0)],
    json: [{ log_type: 'json' }, 'text', () => holdsJson(file)],
  }
  for (const [name, [options, form, check]] of Object.entries(ways)) {
    await pm2.connect()
    const keeper = Number(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8'))
    const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'latin1').trim().split(' ')
    const daemon = children.find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0daemon'))
    const memory = (field) =>
      Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${daemon}/status`, 'latin1'))[1])
    fs.writeFileSync(`/proc/${daemon}/clear_refs`, '5')
    const before = memory('VmRSS')
    await pm2.start({
      name,
      script,
      args: [form, String(SIZE)],
      out_file: file,
      error_file: '/dev/null',
      merge_logs: true,
      ...options,
    })
    await waitFor(
      () => {
        const { size } = fs.statSync(file)
        if (size < SIZE) return false
        const end = Buffer.alloc(Math.min(100, size))
        const fd = fs.openSync(file, 'r')
        fs.readSync(fd, end, 0, end.length, size - end.length)
        fs.closeSync(fd)
        return end.includes('after')
      },
      `${name}: all is written`,
      120_000,
    )
    const peak = memory('VmHWM')
    assert.ok(peak - before < MORE, `${name}: from ${before} kB to ${peak} kB`)
    await check()
    await pm2.delete(name)
    fs.rmSync(file)
  }
})
