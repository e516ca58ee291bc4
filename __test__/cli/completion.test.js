'use strict'

// Completion in the shells themselves. zsh and fish are asked where they are there; without them this says so, and only
// looks at their scripts.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshHome, root } = require('../support/home.js')

/** A home with three apps, and a folder with a script in which shells find `pm2-rs`. */
function prepared(t) {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'work')
  fs.mkdirSync(path.join(folder, 'bin'), { recursive: true })
  fs.symlinkSync(path.join(root, 'bin', 'pm2-rs'), path.join(folder, 'bin', 'pm2-rs'))
  fs.writeFileSync(path.join(folder, 'alone.js'), '')
  for (const name of ['shop', 'shopping', 'mod:one']) {
    assert.equal(cli(home, ['start', fixture('forever.js'), '--name', name, '-q']).status, 0)
  }
  const env = { ...process.env, PM2_HOME: home, HOME: folder, TERM: 'xterm' }
  env.PATH = `${path.join(folder, 'bin')}:${process.env.PATH}`
  return { home, folder, run: { cwd: folder, env, encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL' } }
}

function isThere(shell) {
  try {
    execFileSync(shell, ['-c', ':'], { stdio: 'ignore' })
    return true
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return false
  }
}

test('bash completes commands, options, live names and scripts', (t) => {
  const { home, run } = prepared(t)
  const complete = (line) => {
    const script = `eval "$(pm2-rs completion bash)"
COMP_LINE="$1" COMP_POINT=\${#1}
_pm2_rs_completion
printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script, 'bash', line], run).trim().split('\n')
  }
  assert.deepEqual(complete('pm2-rs resta'), ['restart'])
  assert.deepEqual(complete('pm2-rs stop sho'), ['shop', 'shopping'])
  assert.deepEqual(complete('pm2-rs stop shop shopp'), ['shopping'])
  assert.deepEqual(complete('pm2-rs stop mod:'), ['one'], 'for bash the name begins behind the colon')
  assert.deepEqual(complete('pm2-rs stop a'), ['all'])
  assert.deepEqual(complete('pm2-rs start a'), ['all', 'alone.js'], 'a script is as likely as a name')
  assert.deepEqual(complete('pm2-rs logs --nos'), ['--nostream'])
  assert.deepEqual(complete('pm2-rs startup sys'), ['systemd', 'systemv'])
  assert.ok(complete('pm2-rs describe ').includes('shop'))
  assert.equal(cli(home, ['kill']).status, 0)
})

test('zsh completes in its line editor', (t) => {
  const { home, folder, run } = prepared(t)
  const script = cli(home, ['completion', 'zsh']).stdout
  assert.ok(script.includes('compdef _pm2_rs_completion pm2-rs'))
  if (isThere('zsh')) {
    fs.writeFileSync(path.join(folder, 'setup.zsh'), `autoload -U compinit; compinit -u -D\n${script}print READY\n`)
    // Types a line and Tab into a shell with a terminal, and reads until it shows what is to come of it.
    const lines = [
      ['pm2-rs resta', 'restart'],
      ['pm2-rs stop shopp', 'shopping'],
      ['pm2-rs logs --nos', 'nostream'],
      ['pm2-rs start alo', 'alone.js'],
      ['pm2-rs serve alo', 'alone.js'],
    ]
    const asked = lines.map(
      ([line, shown]) =>
        `zpty -w -n z '${line}'$'\\t'; zpty -r z out '*${shown}*'; zpty -w -n z $'\\x15'; print ${shown}`,
    )
    const typed = ['zmodload zsh/zpty', 'zpty z zsh -f -i', "zpty -w z '. ./setup.zsh'", "zpty -r z out '*READY*'"]
    const done = execFileSync('zsh', ['-f', '-c', [...typed, ...asked, 'zpty -d z'].join('\n')], run)
    assert.equal(done, lines.map(([, shown]) => `${shown}\n`).join(''))
  } else {
    t.diagnostic('no zsh here: only its text was looked at')
  }
  assert.equal(cli(home, ['kill']).status, 0)
})

test('fish completes what it is asked for', (t) => {
  const { home, folder, run } = prepared(t)
  const script = cli(home, ['completion', 'fish']).stdout
  assert.ok(script.includes('complete -c pm2-rs'))
  if (isThere('fish')) {
    fs.writeFileSync(path.join(folder, 'setup.fish'), script)
    const complete = (line) => {
      const done = execFileSync('fish', ['--no-config', '-c', `source setup.fish; complete -C '${line}'`], run)
      return done.trim().split('\n')
    }
    assert.deepEqual(complete('pm2-rs resta'), ['restart'])
    assert.deepEqual(complete('pm2-rs stop sho'), ['shop', 'shopping'])
    assert.deepEqual(complete('pm2-rs stop shop mod:'), ['mod:one'])
    assert.deepEqual(complete('pm2-rs start a'), ['all', 'alone.js'])
    assert.deepEqual(complete('pm2-rs serve alo'), ['alone.js'])
    assert.deepEqual(complete('pm2-rs logs --nos'), ['--nostream'])
  } else {
    t.diagnostic('no fish here: only its text was looked at')
  }
  assert.equal(cli(home, ['kill']).status, 0)
})

test('completion install writes the start file of the shell, uninstall cleans it', (t) => {
  const home = freshHome(t)
  const folder = path.dirname(home)
  for (const shell of ['bash', 'zsh', 'fish']) {
    const env = { HOME: folder, SHELL: `/bin/${shell}` }
    const file = path.join(
      folder,
      { bash: '.bashrc', zsh: '.zshrc', fish: '.config/fish/completions/pm2-rs.fish' }[shell],
    )
    assert.equal(cli(home, ['completion', 'install'], { env }).status, 0)
    assert.match(fs.readFileSync(file, 'utf8'), /###-begin-pm2-completion-###/)
    assert.equal(cli(home, ['completion', 'uninstall'], { env }).status, 0)
    assert.equal(fs.readFileSync(file, 'utf8'), '')
  }
})
