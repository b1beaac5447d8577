package tributary.peer.schedule;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;
import java.util.ArrayList;
import java.util.List;
import tributary.peer.slots.Slot;

/** Booked times. */
@XmlType(name = "GetSubjectOfCareScheduleResponseType", propOrder = {"slots"})
public class ScheduleResponse {
    @XmlElement(name = "timeslotDetail")
    public List<Slot> slots = new ArrayList<>();
}
