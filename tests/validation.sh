#!/usr/bin/env bash
# validation.sh PROGRAM...: runs it with the Khronos validation layer and synchronisation validation on every Vulkan
# instance; any error or warning of the layer fails it. validation.sh --expect-messages PROGRAM...: fails without a message
# (the control that shows the layer at work). validation.sh --present: whether the layer is installed.
set -u
layer=VK_LAYER_KHRONOS_validation
if [ "${1:-}" = --present ]; then
    for folder in /usr/share /usr/local/share /etc; do
        ls "$folder"/vulkan/explicit_layer.d/*alidation*.json >/dev/null 2>&1 && exit 0
    done
    exit 1
fi
expect=false
[ "${1:-}" = --expect-messages ] && { expect=true; shift; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# both spellings: layers of Debian 12 read the first, later ones the second
cat >"$folder/vk_layer_settings.txt" <<END
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
khronos_validation.validate_sync = true
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error,warn
khronos_validation.log_filename = $folder/messages
END
VK_INSTANCE_LAYERS=$layer VK_LAYER_SETTINGS_PATH=$folder "$@"
status=$?
messages=$(grep -c . "$folder/messages" 2>/dev/null || true)
if $expect; then
    if [ "${messages:-0}" -gt 0 ]; then
        echo "1 passed, 0 failed, 0 skipped"
        exit 0
    fi
    echo "the validation layer said nothing about a program with a hazard: exit code $status"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
if [ "${messages:-0}" -gt 0 ]; then
    head -c 6000 "$folder/messages"
    echo
    echo "the validation layer wrote $messages lines"
    exit 1
fi
exit $status
