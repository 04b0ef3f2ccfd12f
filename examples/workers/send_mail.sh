#!/bin/sh
# Sends a mail. The input is JSON on standard input. It prints nothing, so the result is null.
# MAILER is the program that takes a mail on standard input, /usr/sbin/sendmail -t as a rule.
exec ${MAILER:-/usr/sbin/sendmail -t}
