#!/bin/sh
# The fence agent of a drill's power supply, with the agent API of Pacemaker.
cd @DIR@ || exit 1
input=$(cat)
value() { echo "$input" | sed -n "s/^$1=//p"; }
plug=$(value plug)
status() {
	[ -e "off-$plug" ] && { echo "Status: OFF"; exit 2; }
	echo "Status: ON"
	exit 0
}
case $(value action) in
metadata)
	echo '<resource-agent name="fence_drill"><parameters><parameter name="plug" unique="0" required="0"><content type="string"/></parameter></parameters>'
	echo '<actions><action name="off"/><action name="on"/><action name="status"/><action name="monitor"/></actions></resource-agent>'
	;;
off)
	case $(cat mode) in
	hangs) exec sleep 1000 ;;
	lies) echo "Success: Powered OFF"; exit 0 ;;
	esac
	: >"ask-$plug"
	while [ ! -e "off-$plug" ]; do sleep 0.002; done
	echo "Success: Powered OFF"
	;;
on) rm -f "off-$plug" ;;
status) status ;;
monitor) ;;
*) exit 1 ;;
esac
